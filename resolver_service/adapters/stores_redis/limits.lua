-- What clients use of their limits. The rule is that of `domain/limits.py`, to the millisecond; time is this server's.
--
-- Of each client, by its id, all of which expires by itself:
--   window of requests, window of tokens   sorted sets: an entry is 'began amount' by the instant of the last of it, as a
--                                          `Window` has them; 'sum' has the sum of all, negative, so that it comes first
--   ends                                   sorted set: decisions under way by when they do not count any longer
--   held                                   hash: decision -> tokens that it holds; 'sum' has the sum of all
-- Of each decision: 'counted', which is a text
--   instant, tokens that counted at once, tokens sent, 1 if it was told of and not asked for, 1 if its client has left,
--   1 if it is settled, client
local WINDOW, GRAIN, SOON, SET_BACK, MOST_OPEN = 60000, 100, 1000, 1000, 100000
local limits = {}

function limits.now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function exact(number) return string.format('%.0f', number) end

local function parsed(entry)
  local began, amount = string.match(entry, '^(%d+) (%d+)$')
  return tonumber(began), tonumber(amount)
end

-- What was used within the last minute, and the instant of the last of it.
local function used(key, now)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  local last_at = tonumber(last[2] or '0')
  if last_at > now + SET_BACK then
    redis.call('DEL', key)  -- This server's clock was set back, and nobody is to wait until it is there again.
    return 0, 0
  end
  local over = 0
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', key, 1, now - WINDOW)) do
    local _, amount = parsed(entry)
    over = over + amount
  end
  if over > 0 then
    redis.call('ZREMRANGEBYSCORE', key, 1, now - WINDOW)
    redis.call('ZINCRBY', key, over, 'sum')
  end
  return -tonumber(redis.call('ZSCORE', key, 'sum') or '0'), last_at
end

-- The entry that an instant falls into.
local function entry_of(key, at)
  local near = redis.call('ZRANGEBYSCORE', key, math.max(1, at - GRAIN), at + GRAIN, 'WITHSCORES')
  for place = 1, #near, 2 do
    local began, amount = parsed(near[place])
    if began <= at and at < began + GRAIN then return near[place], began, amount, tonumber(near[place + 1]) end
  end
end

local function add(key, amount, at, now)
  if amount <= 0 or now - at >= WINDOW then return end
  local entry, began, before, last_at = entry_of(key, at)
  if entry then redis.call('ZREM', key, entry) end
  local text = exact(began or at) .. ' ' .. exact((before or 0) + amount)
  redis.call('ZADD', key, math.max(last_at or at, at), text)
  redis.call('ZINCRBY', key, -amount, 'sum')
  redis.call('PEXPIRE', key, WINDOW + GRAIN)
end

local function take_back(key, amount, at)
  if amount <= 0 then return end
  local entry, began, before, last_at = entry_of(key, at)
  if not entry or before < amount then return end
  redis.call('ZREM', key, entry)
  if before > amount then redis.call('ZADD', key, last_at, exact(began) .. ' ' .. exact(before - amount)) end
  redis.call('ZINCRBY', key, amount, 'sum')
end

-- Until at least so much of it is over; nil if there is not so much in it.
local function wait(key, amount, now)
  local from = 0
  while true do
    local entries = redis.call('ZRANGEBYSCORE', key, 1, '+inf', 'WITHSCORES', 'LIMIT', from, 32)
    for place = 1, #entries, 2 do
      local _, its = parsed(entries[place])
      amount = amount - its
      if amount <= 0 then return tonumber(entries[place + 1]) + WINDOW - now end
    end
    if #entries < 64 then return nil end
    from = from + 32
  end
end

local function reset(used_now, last_at, now)
  return used_now > 0 and last_at + WINDOW - now or 0
end

local function keys_of(prefix, client)
  return prefix .. 'requests:' .. client, prefix .. 'tokens:' .. client,
    prefix .. 'ends:' .. client, prefix .. 'held:' .. client
end

-- Frees what a decision holds.
local function free(held, decision)
  local tokens = tonumber(redis.call('HGET', held, decision) or '0')
  if tokens > 0 then
    redis.call('HDEL', held, decision)
    redis.call('HINCRBY', held, 'sum', -tokens)
  end
end

local function sweep(ends, held, now)
  for _, decision in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now)) do
    free(held, decision)
    redis.call('ZREM', ends, decision)
  end
end

local function lengthened(key, for_ms)
  if redis.call('PTTL', key) < for_ms then redis.call('PEXPIRE', key, for_ms) end
end

-- A request is let in. Without `for_ms` nothing will be told of it; it is under way for `lease_ms` unless that is renewed.
-- Returns the tokens that count at once.
local function let_in(prefix, decision, client, tokens, sent, for_ms, lease_ms, at, now, told)
  local requests, used_tokens, ends, held = keys_of(prefix, client)
  local at_once, settled = 0, 0
  if for_ms and redis.call('ZCARD', ends) < MOST_OPEN then
    redis.call('ZADD', ends, at + lease_ms, decision)
    lengthened(ends, for_ms)
    if tokens > 0 then
      redis.call('HSET', held, decision, tokens)
      redis.call('HINCRBY', held, 'sum', tokens)
      lengthened(held, for_ms)
    end
  else
    at_once, settled = tokens, 1
    add(used_tokens, tokens, at, now)
  end
  add(requests, 1, at, now)
  local text = table.concat({exact(at), exact(at_once), exact(sent), told, 0, settled, client}, ' ')
  redis.call('SET', prefix .. 'counted:' .. decision, text, 'PX', for_ms or WINDOW)
  return at_once
end

-- Asks for one more. `arg` gives what is asked, in the order that `limits.py` has it in.
function limits.asked(prefix, decision, arg, now)
  local client, most_requests, most_tokens, most_open = arg(), tonumber(arg()), tonumber(arg()), tonumber(arg())
  local tokens, sent, for_ms, lease_ms = tonumber(arg()), tonumber(arg()), tonumber(arg()), tonumber(arg())
  local requests, used_tokens, ends, held = keys_of(prefix, client)
  sweep(ends, held, now)
  local made, made_at = used(requests, now)
  local spent, spent_at = used(used_tokens, now)
  local reserved = tonumber(redis.call('HGET', held, 'sum') or '0')
  local kind, wait_ms = 0, 0
  if most_open and redis.call('ZCARD', ends) >= most_open then kind, wait_ms = 3, SOON end
  if most_requests and made + 1 > most_requests then
    local ms = wait(requests, made + 1 - most_requests, now) or SOON
    if ms >= wait_ms then kind, wait_ms = 1, ms end
  end
  if most_tokens and spent + reserved + 1 > most_tokens then
    local ms = wait(used_tokens, spent + reserved + 1 - most_tokens, now) or SOON
    if ms >= wait_ms then kind, wait_ms = 2, ms end
  end
  if kind == 0 then
    local at_once = let_in(prefix, decision, client, tokens, sent, for_ms, lease_ms, now, now, 0)
    made, made_at = made + 1, now
    if at_once > 0 then spent, spent_at = spent + at_once, now else reserved = reserved + tokens end
  end
  return {
    kind, wait_ms,
    math.max(0, (most_requests or 0) - made), reset(made, made_at, now),
    math.max(0, (most_tokens or 0) - spent - reserved), reserved > 0 and WINDOW or reset(spent, spent_at, now),
  }
end

local function settle(key, held, decision, tokens, at, now)
  free(held, decision)
  add(key, tokens, at, now)
end

-- What has become of a decision. Told twice, it is as if it were told once.
function limits.told(prefix, arg, now)
  local kind, decision, at = arg(), arg(), now - tonumber(arg())
  local key = prefix .. 'counted:' .. decision
  local known = redis.call('GET', key)
  if kind == 'used' then
    local client, tokens, sent, for_ms, lease_ms = arg(), tonumber(arg()), tonumber(arg()), tonumber(arg()), tonumber(arg())
    if not known then let_in(prefix, decision, client, tokens, sent, for_ms, lease_ms, at, now, 1) end
    return
  end
  local amount = tonumber(arg())
  if not known or known == '' then return end
  local began, at_once, sent, told, left, settled, client = string.match(
    known, '^(%d+) (%d+) (%d+) (%d) (%d) (%d) (.*)$')
  local requests, used_tokens, ends, held = keys_of(prefix, client)
  if kind == 'withdrawn' then
    if told == '1' then return end
    redis.call('DEL', key)
    redis.call('ZREM', ends, decision)
    free(held, decision)
    take_back(requests, 1, tonumber(began))
    take_back(used_tokens, tonumber(at_once), tonumber(began))
    return
  elseif kind == 'open' then
    -- What is settled and not there was never under way, or is not any more.
    if settled == '1' then
      redis.call('ZADD', ends, 'XX', 'GT', at + amount, decision)
    else
      redis.call('ZADD', ends, 'GT', at + amount, decision)
      lengthened(ends, amount)
    end
    return
  elseif kind == 'orphaned' then
    redis.call('ZADD', ends, 'XX', 'LT', at + amount, decision)
    return
  elseif kind == 'left' then
    left = '1'
  elseif kind == 'ended' then
    if settled == '0' then settle(used_tokens, held, decision, amount > 0 and amount or tonumber(sent), at, now) end
    settled = '1'
  elseif kind == 'closed' then
    if left == '1' and settled == '0' then settle(used_tokens, held, decision, tonumber(sent), at, now) end
    free(held, decision)
    redis.call('ZREM', ends, decision)
    -- What was told may be told again, and is not to count anew.
    if told == '1' then redis.call('SET', key, '', 'PX', WINDOW) else redis.call('DEL', key) end
    return
  end
  redis.call('SET', key, table.concat({began, at_once, sent, told, left, settled, client}, ' '), 'KEEPTTL')
end
