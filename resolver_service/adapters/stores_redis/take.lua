-- Takes turns and probes for any number of requests.
--
-- KEYS: the hash of turns, the prefix of probes, the prefix of bindings. ARGV: how long a probe is held in milliseconds,
-- then for each request
--   holder, number of probes, each scope, the key of a binding or nothing, and a claim.
-- A claim is 0 for none, else
--   1, field of the turn, number of members behind which a pool stands or 0, and if there are any: how many members there
--   are, their sequence (two bytes a turn; empty if they take turns one by one), and the claim behind each of them.
-- Answers for each request: the numbers of its turns, for each probe who holds it, and the binding if there is one.
local at = 2
local function arg()
  local value = ARGV[at]
  at = at + 1
  return value
end

local claim

-- Passes over a claim that is not taken.
local function skip()
  if arg() == '0' then return end
  arg()
  if arg() == '0' then return end
  local members = tonumber(arg())
  arg()
  for _ = 1, members do skip() end
end

claim = function(turns)
  if arg() == '0' then return end
  local turn = redis.call('HINCRBY', KEYS[1], arg(), 1) - 1
  turns[#turns + 1] = turn
  if arg() == '0' then return end
  local members, sequence = tonumber(arg()), arg()
  local chosen
  if sequence == '' then
    chosen = turn % members
  else
    local place = (turn % (#sequence / 2)) * 2
    local high, low = string.byte(sequence, place + 1, place + 2)
    chosen = high * 256 + low
  end
  for member = 0, members - 1 do
    if member == chosen then claim(turns) else skip() end
  end
end

local lease = ARGV[1]
local answers = {}
while at <= #ARGV do
  local holder, holders, turns = arg(), {}, {}
  for _ = 1, tonumber(arg()) do
    local key = KEYS[2] .. arg()
    if redis.call('SET', key, holder, 'NX', 'PX', lease) then
      holders[#holders + 1] = holder
    else
      holders[#holders + 1] = redis.call('GET', key)
    end
  end
  local bound = arg()
  if bound ~= '' then bound = redis.call('GET', KEYS[3] .. bound) end
  claim(turns)
  answers[#answers + 1] = {turns, holders, bound or ''}
end
return answers
