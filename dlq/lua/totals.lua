-- Every counter and place at one moment. Reads only: a transaction would be refused while Redis is full.
-- KEYS: stream, due, leased, dead, stats
-- ARGV: now (ms)
-- Returns: depth, ready, due, leased, dead, then name and value of each counter
local stream, due, leased, dead, stats = unpack(KEYS)
local counters = redis.call('HGETALL', stats)
return {
  redis.call('XLEN', stream), redis.call('ZCOUNT', due, '-inf', ARGV[1]), redis.call('ZCARD', due),
  redis.call('ZCARD', leased), redis.call('ZCARD', dead), unpack(counters)
}
