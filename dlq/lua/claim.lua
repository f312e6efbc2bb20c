-- Lease due messages to one drainer, by the clock of this server.
-- KEYS: stream, due, leased, pause
-- ARGV: limit, length of the lease (ms), longest lease that anybody gives (ms), bytes after which no more is taken
-- Returns: whether a person has paused drains (1/0), now (ms), end of the lease (ms), then {id, fields} for each;
--          fields is false where the stream lacks the entry
local stream, due, leased = KEYS[1], KEYS[2], KEYS[3]
local limit, length, longest, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('EXISTS', KEYS[4]) == 1 then return {1, 0, 0} end
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

local answer, size = {0, now, lease_end}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  if size > most_bytes then break end
  redis.call('ZADD', leased, lease_end, id)
  redis.call('ZREM', due, id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  answer[#answer + 1] = {id, entry and entry[2] or false}
  if entry then
    for _, field in ipairs(entry[2]) do size = size + #field end
  end
end
return answer
