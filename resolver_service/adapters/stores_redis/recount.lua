-- Puts turns back that the server has forgotten. KEYS: the hash of turns. ARGV: for each count: field, turns taken at least.
for at = 1, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[at]) or '0') < tonumber(ARGV[at + 1]) then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  end
end
return redis.status_reply('OK')
