-- Merges what one resolver knows of the health of scopes with what is here, and tells everyone what came of it.
--
-- KEYS: the hash of health, the hash of numbers, the prefix of probes. ARGV: the channel, then for each scope
--   scope, generation that the change starts from, state as JSON.
-- A state here: {n = number of the change, g = generation, u = cools until (ms of this server's clock), r = reason,
-- t = {family = {failures, cool-downs}}}; one that comes has f (cools for, ms) instead of u, a = {family = failures since the
-- last merge}, c if its tallies have been cleared since, and o if it is one of this server's own, which it may have forgotten.
-- Generations are texts: JSON numbers have 14 digits here.
-- Answers the time here, and for each scope the state as it is now, and whether it is the one that came.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local latest = tonumber(redis.call('HGET', KEYS[2], 'latest') or '0')
local answers = {}

local function exact(number) return string.format('%.0f', number) end

-- What makes no sense is as if it were not there: it must not keep anyone from what comes.
local function read(stored)
  local is_json, state = pcall(cjson.decode, stored or 'null')
  if not is_json or type(state) ~= 'table' or type(state.g) ~= 'string' or not tonumber(state.g) then state = {g = '0'} end
  if type(state.u) ~= 'number' then state.u = nil end
  if type(state.t) ~= 'table' then state.t = {} end
  for family, tally in pairs(state.t) do
    if type(tally) ~= 'table' or type(tally[1]) ~= 'number' or type(tally[2]) ~= 'number' then state.t[family] = nil end
  end
  return state
end

for at = 2, #ARGV, 3 do
  local scope, base, new = ARGV[at], tonumber(ARGV[at + 1]), cjson.decode(ARGV[at + 2])
  local state = read(redis.call('HGET', KEYS[1], scope))
  local until_at = new.f and now + new.f
  local is_taken = 0
  if new.o then
    -- Others may have told the same before, or something newer may have come since.
    if tonumber(new.g) > tonumber(state.g) then
      if state.u and until_at then until_at = math.max(state.u, until_at) end
      state = {g = new.g, u = until_at, r = new.r, t = new.t}
      latest = math.max(latest, tonumber(new.g))
    elseif state.u and until_at then
      state.u = math.max(state.u, until_at)
    end
  elseif tonumber(state.g) > base then
    -- It has changed since: what comes may lengthen an open cool-down, and no more.
    if state.u and until_at then state.u = math.max(state.u, until_at) end
  elseif tonumber(new.g) > base then
    -- A change of state. It gets a generation that nobody has handed out yet.
    latest = math.max(latest + 1, tonumber(new.g))
    if state.u and until_at then until_at = math.max(state.u, until_at) end
    state = {g = exact(latest), u = until_at, r = new.r, t = new.t}
    is_taken = 1
    redis.call('DEL', KEYS[3] .. scope)  -- A probe of the state before is none of this one.
  else
    if state.u and until_at then state.u = math.max(state.u, until_at) end
    for family, failures in pairs(new.a) do
      local tally = state.t[family] or {0, 0}
      state.t[family] = {tally[1] + failures, tally[2]}
    end
    if new.c then state.t = {} end
  end
  local number = redis.call('HINCRBY', KEYS[2], 'changes', 1)
  state.n = number
  local text = cjson.encode(state)
  redis.call('HSET', KEYS[1], scope, text)
  redis.call('PUBLISH', ARGV[1], cjson.encode({n = number, s = scope, h = text, at = now}))
  answers[#answers + 1] = {text, is_taken}
end
redis.call('HSET', KEYS[2], 'latest', exact(latest))
return {now, answers}
