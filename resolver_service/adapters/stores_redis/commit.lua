-- Puts a revision of the configuration in the place of the one before it, keeps it, and tells everyone.
--
-- KEYS: the hash of numbers, the hash of revisions, the hash of their texts, the schema. ARGV: the channel, the schema of
-- whoever asks, its number, the digest of the one before it, its author, summary, diff and digest, its text, how many are
-- kept, and when it was made (seconds).
-- With nothing or 'forgotten' in place of that digest it is put there unless it or a later one is: a first one, or one that
-- was forgotten here. Else it was made now.
-- Answers 'ok' and when it was made, 'conflict', or 'schema' and the one that is here.
local schema = redis.call('GET', KEYS[4])
if schema and schema ~= ARGV[2] then return {'schema', schema} end

local time = redis.call('TIME')
local now_ms = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
local number, base = tonumber(ARGV[3]), ARGV[4]
local latest = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
local made = tonumber(ARGV[11])
if base == '' or base == 'forgotten' then
  if latest >= number then return {'conflict'} end
  if base ~= '' then redis.call('HSET', KEYS[1], 'forgot', now_ms) end
else
  if latest ~= number - 1 or redis.call('HGET', KEYS[1], 'digest') ~= base then return {'conflict'} end
  made = tonumber(time[1])
end

redis.call('SET', KEYS[4], ARGV[2])
redis.call('HSET', KEYS[1], 'revision', ARGV[3], 'digest', ARGV[8])
redis.call('HSET', KEYS[2], ARGV[3], cjson.encode({
  number = number, created_at = made, author = ARGV[5], summary = ARGV[6], diff = ARGV[7], digest = ARGV[8],
}))
redis.call('HSET', KEYS[3], ARGV[3], ARGV[9])
for _, kept in ipairs(redis.call('HKEYS', KEYS[2])) do
  if tonumber(kept) <= number - tonumber(ARGV[10]) then
    redis.call('HDEL', KEYS[2], kept)
    redis.call('HDEL', KEYS[3], kept)
  end
end
redis.call('PUBLISH', ARGV[1], cjson.encode({w = 'revision'}))
return {'ok', made}
