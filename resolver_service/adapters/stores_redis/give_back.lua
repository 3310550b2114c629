-- Probes that their holders do not need any more. KEYS: the prefix of probes. ARGV: the channel, then for each of them:
-- scope, holder. Those who were told that somebody else has it need not wait.
for at = 2, #ARGV, 2 do
  local key = KEYS[1] .. ARGV[at]
  if redis.call('GET', key) == ARGV[at + 1] then
    redis.call('DEL', key)
    redis.call('PUBLISH', ARGV[1], cjson.encode({p = ARGV[at]}))
  end
end
return redis.status_reply('OK')
