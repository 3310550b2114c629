-- Keeps bindings, or forgets them; of all that are kept those go first that were made first, and those that are over.
--
-- The sorted set has no end of its own: a server that is full would let it go, and nobody would count them any more.
--
-- KEYS: the prefix of bindings, the sorted set of their keys by when they came. ARGV: how long each is kept in milliseconds,
-- how many are; then for each: key, and the binding or nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept_ms, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local MOST_AT_ONCE = 1000  -- The server does nothing else meanwhile.

for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('DEL', KEYS[1] .. ARGV[at])
    redis.call('ZREM', KEYS[2], ARGV[at])
  else
    redis.call('SET', KEYS[1] .. ARGV[at], ARGV[at + 1], 'PX', kept_ms)
    redis.call('ZADD', KEYS[2], now, ARGV[at])
  end
end

for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - kept_ms, 'LIMIT', 0, MOST_AT_ONCE)) do
  redis.call('ZREM', KEYS[2], key)
end
local over = math.min(redis.call('ZCARD', KEYS[2]) - most, MOST_AT_ONCE)
if over > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[2], over)
  for place = 1, #oldest, 2 do redis.call('DEL', KEYS[1] .. oldest[place]) end
end
return redis.status_reply('OK')
