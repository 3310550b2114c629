-- Probes that their holders do not need any more. KEYS: the prefix of probes. ARGV: for each of them: scope, holder.
for at = 1, #ARGV, 2 do
  local key = KEYS[1] .. ARGV[at]
  if redis.call('GET', key) == ARGV[at + 1] then redis.call('DEL', key) end
end
return redis.status_reply('OK')
