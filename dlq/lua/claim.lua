-- Lease due messages to one drainer, by the clock of this server.
-- KEYS: stream, due, leased, pause
-- ARGV: limit, length of the lease (ms), longest lease that anybody gives (ms), bytes after which no more is taken,
--       what the keys of histories begin with, then the names of the fields that are wanted
-- Returns: whether a person has paused drains (1/0), now (ms), end of the lease (ms), the ids that the stream lacks,
--          then for all others in one text each, for a client reads few long texts much faster than many short ones:
--          the lengths, and the values one after the other, of id, attempts, errors and the fields; 4 bytes a length,
--          all ones for what is not there
local stream, due, leased = KEYS[1], KEYS[2], KEYS[3]
local limit, length, longest, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('EXISTS', KEYS[4]) == 1 then return {1, 0, 0, {}, '', ''} end
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
local HISTORY, FIRST = ARGV[5], 6
local lengths, values, vanished, size = {}, {}, {}, 0
local function add(value)
  lengths[#lengths + 1] = struct.pack('>I4', value and #value or 4294967295)
  values[#values + 1] = value or ''
end
local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)
-- Few messages have a history: all are asked for at once.
local function some_have_history()
  for first = 1, #ids, MOST do
    local names = {}
    for place = first, math.min(first + MOST - 1, #ids) do names[#names + 1] = HISTORY .. ids[place] end
    if redis.call('EXISTS', unpack(names)) > 0 then return true end
  end
  return false
end
local has_histories = some_have_history()
local taken, leases = {}, {}
for _, id in ipairs(ids) do
  if size > most_bytes then break end
  taken[#taken + 1] = id
  leases[#leases + 1] = lease_end
  leases[#leases + 1] = id
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    local fields, packed = {}, entry[2]
    for f = 1, #packed, 2 do
      fields[packed[f]] = packed[f + 1]
      size = size + #packed[f] + #packed[f + 1]
    end
    add(id)
    local attempts, errors = false, false
    if has_histories then attempts, errors = unpack(redis.call('HMGET', HISTORY .. id, 'attempts', 'errors')) end
    add(attempts)
    add(errors)
    for n = FIRST, #ARGV do add(fields[ARGV[n]]) end
  else
    vanished[#vanished + 1] = id
  end
end
for first = 1, #taken, MOST do
  local last = math.min(first + MOST - 1, #taken)
  redis.call('ZADD', leased, unpack(leases, 2 * first - 1, 2 * last))
  redis.call('ZREM', due, unpack(taken, first, last))
end
return {0, now, lease_end, vanished, table.concat(lengths), table.concat(values)}
