-- Every total and place at one moment. Reads only: a transaction would be refused while Redis is full.
-- KEYS: stream, due, leased, dead, stats
-- Returns: depth, ready (due now), due, leased, dead, then name and value of each total
local stream, due, leased, dead, stats = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {
  redis.call('XLEN', stream), redis.call('ZCOUNT', due, '-inf', now), redis.call('ZCARD', due),
  redis.call('ZCARD', leased), redis.call('ZCARD', dead), unpack(redis.call('HGETALL', stats))
}
