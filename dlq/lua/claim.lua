-- Lease due messages to one drainer, by the clock of this server. Their entries are read by whoever leased them, for to
-- turn entries into values of Lua and back costs this server several times what the lease does (`dlq/pages.py`).
-- KEYS: due, leased, pause
-- ARGV: limit, length of the lease (ms), longest lease that anybody gives (ms), longest wait that anybody asks for (ms),
--       what the keys of histories begin with
-- Returns: whether a person has paused drains (1/0), now (ms), end of the lease (ms), whether some have a history (1/0),
--          then their ids
local due, leased = KEYS[1], KEYS[2]
local limit, length, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local longest_wait, HISTORY = tonumber(ARGV[4]), ARGV[5]
if redis.call('EXISTS', KEYS[3]) == 1 then return {1, 0, 0, 0, {}} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_end = now + math.min(length, longest)

-- A write that adds nothing goes first, so that this works while Redis is full. Then what adds comes before what removes:
-- a caller that has no right to lease has changed nothing.
redis.call('ZREM', leased, '')

-- The lease of a drainer that died ends by itself: its messages are due again.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leased, '-inf', now, 'LIMIT', 0, limit)) do
  redis.call('ZADD', due, now, id)
  redis.call('ZREM', leased, id)
end
-- A lease beyond the longest was given by another clock, or before this one was set back: it ends with a lease of now.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leased, '(' .. (now + longest), '+inf', 'LIMIT', 0, limit)) do
  redis.call('ZADD', leased, lease_end, id)
end

-- So many ids one command is given: Lua has no room for many more arguments.
local MOST = 1000
local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)
-- Before this clock was set back, what was due at once was due at the time of its id; nothing waits longer than the longest.
if #ids < limit then
  local later = redis.call('ZRANGEBYSCORE', due, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, limit - #ids)
  for i = 1, #later, 2 do
    local parked_at, due_at = tonumber(string.match(later[i], '^%d+') or 0), tonumber(later[i + 1])
    if (parked_at > now + 1000 and math.abs(due_at - parked_at) <= 1000) or due_at > now + longest_wait then
      ids[#ids + 1] = later[i]
    end
  end
end
local some_have_history = 0
for first = 1, #ids, MOST do
  local last = math.min(first + MOST - 1, #ids)
  local histories, leases = {}, {}
  for place = first, last do
    histories[#histories + 1] = HISTORY .. ids[place]
    leases[#leases + 1] = lease_end
    leases[#leases + 1] = ids[place]
  end
  -- Few messages have a history: all are asked for at once.
  if redis.call('EXISTS', unpack(histories)) > 0 then some_have_history = 1 end
  redis.call('ZADD', leased, unpack(leases))
  redis.call('ZREM', due, unpack(ids, first, last))
end
return {0, now, lease_end, some_have_history, ids}
