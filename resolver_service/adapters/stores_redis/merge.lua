-- Merges what one resolver knows of the health of scopes with what is here, and tells everyone what came of it.
--
-- KEYS: the hash of health, the hash of numbers. ARGV: the channel, then for each scope
--   scope, generation that the change starts from, state as JSON.
-- A state here: {g = generation, u = cools until (ms of this server's clock), r = reason, t = {family = {failures,
-- cool-downs}}}; one that comes has f (cools for, ms) instead of u, a = {family = failures since the last merge}, and c if its
-- tallies have been cleared since.
-- Generations are texts: JSON numbers have 14 digits here.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local latest = tonumber(redis.call('HGET', KEYS[2], 'latest') or '0')
local answers = {}

local function exact(number) return string.format('%.0f', number) end

for at = 2, #ARGV, 3 do
  local scope, base, new = ARGV[at], tonumber(ARGV[at + 1]), cjson.decode(ARGV[at + 2])
  local stored = redis.call('HGET', KEYS[1], scope)
  local state = stored and cjson.decode(stored) or {g = '0', t = {}}
  local until_at = new.f and now + new.f
  if tonumber(state.g) > base then
    -- It has changed since: what comes may lengthen an open cool-down, and no more.
    if state.u and until_at then state.u = math.max(state.u, until_at) end
  elseif tonumber(new.g) > base then
    -- A change of state. It gets a generation that nobody has handed out yet.
    latest = math.max(latest + 1, tonumber(new.g))
    if state.u and until_at then until_at = math.max(state.u, until_at) end
    state = {g = exact(latest), u = until_at, r = new.r, t = new.t}
  else
    if state.u and until_at then state.u = math.max(state.u, until_at) end
    for family, failures in pairs(new.a) do
      local tally = state.t[family] or {0, 0}
      state.t[family] = {tally[1] + failures, tally[2]}
    end
    if new.c then state.t = {} end
  end
  local text = cjson.encode(state)
  redis.call('HSET', KEYS[1], scope, text)
  local number = redis.call('HINCRBY', KEYS[2], 'changes', 1)
  redis.call('PUBLISH', ARGV[1], cjson.encode({n = number, s = scope, h = text, at = now}))
  answers[#answers + 1] = text
end
redis.call('HSET', KEYS[2], 'latest', exact(latest))
return {now, answers}
