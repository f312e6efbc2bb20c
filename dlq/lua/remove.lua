-- Take messages out of the queue: their documents are stored, or their entries are gone from the stream.
-- KEYS: stream, due, leased, dead, ids, stats, alarm, counters
-- ARGV: way out, depth below which the alarm clears, what the keys of histories begin with, then for each label: label,
--       how many messages it has, and of each id and key
-- Returns: how many were there, whether this call cleared the alarm (1/0)
local stream, due, leased, dead, ids, stats, alarm, counters = unpack(KEYS)
-- So many arguments one command is given: Lua has no room for many more.
local MOST = 1000
local removed = 0
local some_dead = redis.call('ZCARD', dead) > 0
local out, histories, keys = {}, {}, {}
-- A call of a command costs a script more than the command does, so entries of a label go some at a time.
local AT_ONCE = 64
local function take_out(label, first, last)
  local count = redis.call('XDEL', stream, unpack(out, first, last))
  if count > 0 then
    -- Beside the removal, for a kill may cut the writes of this script; after it, for then a full Redis takes it.
    redis.call('HINCRBY', stats, ARGV[1], count)
    redis.call('HINCRBY', counters, ARGV[1] .. '|' .. label, count)
    removed = removed + count
  end
  local were_dead = some_dead and redis.call('ZREM', dead, unpack(out, first, last)) or 0
  if were_dead > 0 then redis.call('HINCRBY', counters, 'dead|' .. label, -were_dead) end
end
-- What points to entries goes once the entries are gone; an index that a kill leaves behind is taken out as vanished.
local function forget(first, last)
  redis.call('ZREM', due, unpack(out, first, last))
  redis.call('ZREM', leased, unpack(out, first, last))
  redis.call('DEL', unpack(histories, first, last))
  local same = {}
  for place, id in ipairs(redis.call('HMGET', ids, unpack(keys, first, last))) do
    if id == out[first + place - 1] then same[#same + 1] = keys[first + place - 1] end
  end
  if #same > 0 then redis.call('HDEL', ids, unpack(same)) end
end

local i = 4
while i < #ARGV do
  local label, last, begun = ARGV[i], i + 2 * ARGV[i + 1], #out + 1
  for j = i + 2, last, 2 do
    out[#out + 1], histories[#histories + 1], keys[#keys + 1] = ARGV[j], ARGV[3] .. ARGV[j], ARGV[j + 1]
  end
  for first = begun, #out, AT_ONCE do take_out(label, first, math.min(first + AT_ONCE - 1, #out)) end
  i = last + 2
end
for first = 1, #out, MOST do forget(first, math.min(first + MOST - 1, #out)) end
local cleared = 0
if redis.call('XLEN', stream) < tonumber(ARGV[2]) and redis.call('HDEL', alarm, 'depth_since', 'depth_told') > 0 then
  cleared = 1
end
return {removed, cleared}
