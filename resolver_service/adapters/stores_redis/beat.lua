-- A resolver says that it is there, and learns who else is.
--
-- KEYS: the hash of replicas, the hash of numbers. ARGV: the channel, its id, the revision that it serves from, the last
-- change that it has heard of, what to tell the others ('ask' to have them say at once that they are there, 'there' for those
-- who have asked, or nothing), and in milliseconds: how long one counts as live, how long it is told of, how long nobody must
-- have been heard of for this server to have been away, how long those may take to come back whom it had before that, and
-- how long if it has forgotten them.
-- Answers the numbers of the last change and of the revision of record, its digest, 1 while there may be replicas that it
-- has forgotten, and for each replica: id, revision, the last change that it has heard of, how long ago it was heard of, and
-- 1 if it is live.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lives, told, silence, returns = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local function number(field) return tonumber(redis.call('HGET', KEYS[2], field) or '0') end
local function exact(value) return string.format('%.0f', value) end

local last = number('beat')
if now - last > silence then redis.call('HSET', KEYS[2], 'lost', exact(last), 'back', exact(now)) end
redis.call('HSET', KEYS[2], 'beat', exact(now))
local lost, back = number('lost'), number('back')

redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. exact(now))
local answers = {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local revision, heard, seen = string.match(all[at + 1], '^(%d+) (-?%d+) (%d+)$')
  seen = tonumber(seen or '0')
  if seen > now then
    -- This server's clock has been put back.
    seen = now
    redis.call('HSET', KEYS[1], all[at], revision .. ' ' .. heard .. ' ' .. exact(now))
  end
  if now - seen > told then
    redis.call('HDEL', KEYS[1], all[at])
  else
    local was_there = now - back <= returns and seen <= lost and lost - seen <= lives
    local is_live = was_there or now - seen <= lives
    answers[#answers + 1] = {all[at], tonumber(revision), tonumber(heard), now - seen, is_live and 1 or 0}
  end
end
local is_gathering = now - number('forgot') <= tonumber(ARGV[10])
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[1], cjson.encode({w = ARGV[5]})) end
return {number('changes'), number('revision'), redis.call('HGET', KEYS[2], 'digest') or '', is_gathering and 1 or 0, answers}
