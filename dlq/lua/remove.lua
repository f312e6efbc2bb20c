-- Take messages out of the queue: their documents are stored, or their entries are gone from the stream.
-- KEYS: stream, due, leased, dead, ids, stats, alarm
-- ARGV: counter, depth below which the alarm clears, then for each message: id, key, the key of its history
-- Returns: how many were there, whether this call cleared the alarm (1/0)
local stream, due, leased, dead, ids, stats, alarm = unpack(KEYS)
local removed = 0
for i = 3, #ARGV, 3 do
  local id, key = ARGV[i], ARGV[i + 1]
  local there = redis.call('XDEL', stream, id)
  redis.call('ZREM', due, id)
  redis.call('ZREM', leased, id)
  redis.call('ZREM', dead, id)
  redis.call('DEL', ARGV[i + 2])
  if redis.call('HGET', ids, key) == id then redis.call('HDEL', ids, key) end
  removed = removed + there
end
-- After the removals above this write is allowed even while Redis is full.
if removed > 0 then redis.call('HINCRBY', stats, ARGV[1], removed) end
local cleared = 0
if redis.call('XLEN', stream) < tonumber(ARGV[2]) and redis.call('HDEL', alarm, 'depth_since', 'depth_told') > 0 then
  cleared = 1
end
return {removed, cleared}
