-- Takes turns and probes for any number of requests, of those that their clients' limits let in. Needs `limits.lua`.
--
-- KEYS: the hash of turns, the prefix of probes, the prefix of bindings, the prefix of limits. ARGV: a MessagePack array,
-- since one long argument costs a client a fraction of what many short ones do. In it: how long a probe is held in
-- milliseconds; of how many things it is told that have become of requests under limits, and these; then for each request
--   holder, use if there is one, number of probes, each scope, the key of a binding or nothing, and a claim.
-- A use is -1 and what `limits.asked` reads. What is refused takes nothing.
-- A claim is 0 for none, else
--   1, field of the turn, number of members behind which a pool stands or 0, and if there are any: how many members there
--   are, their sequence (two characters a turn; empty if they take turns one by one), and the claim behind each of them.
-- Answers with a MessagePack array that has, for each request, the numbers of its turns, how many probes there are to tell
-- of, whether there is a binding (1 or 0), and what the limits say if there are any; and then, for one request after the
-- other, who holds each probe, and the binding.
local said = cmsgpack.unpack(ARGV[1])
local at = 2
local now  -- Asked for by limits alone.
local function arg()
  local value = said[at]
  at = at + 1
  -- As it would be if it were an argument by itself.
  return type(value) == 'number' and string.format('%d', value) or value
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
    chosen = high * 128 + low
  end
  for member = 0, members - 1 do
    if member == chosen then claim(turns) else skip() end
  end
end

local lease = said[1]
local answers, words = {}, {''}
for _ = 1, tonumber(arg()) do
  now = now or limits.now()
  limits.told(KEYS[4], arg, now)
end
while at <= #said do
  local holder, turns, allowed = arg(), {}, nil
  local probes = tonumber(arg())
  if probes < 0 then
    now = now or limits.now()
    allowed = limits.asked(KEYS[4], holder, arg, now)
    probes = tonumber(arg())
  end
  local refused = allowed and allowed[1] ~= 0
  for _ = 1, probes do
    local key = KEYS[2] .. arg()
    if refused then
      words[#words + 1] = ''
    elseif redis.call('SET', key, holder, 'NX', 'PX', lease) then
      words[#words + 1] = holder
    else
      words[#words + 1] = redis.call('GET', key)
    end
  end
  local bound = arg()
  if refused then bound = '' elseif bound ~= '' then bound = redis.call('GET', KEYS[3] .. bound) end
  local has_binding = (bound and bound ~= '') and 1 or 0
  if has_binding == 1 then words[#words + 1] = bound end
  if refused then skip() else claim(turns) end
  answers[#answers + 1] = {turns, probes, has_binding, allowed}
end
words[1] = cmsgpack.pack(answers)
return words
