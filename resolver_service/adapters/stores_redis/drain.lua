-- KEYS: the set of drained targets, the hash of numbers. ARGV: the channel, then for each target: id, 1 or 0.
for at = 2, #ARGV, 2 do
  redis.call(ARGV[at + 1] == '1' and 'SADD' or 'SREM', KEYS[1], ARGV[at])
  local number = redis.call('HINCRBY', KEYS[2], 'changes', 1)
  redis.call('PUBLISH', ARGV[1], cjson.encode({n = number, d = ARGV[at], on = ARGV[at + 1] == '1'}))
end
return redis.status_reply('OK')
