-- Keep a sample of a minute, if nobody has. Old ones are dropped first, so that it works while Redis is full.
-- KEYS: samples
-- ARGV: minute, the first minute to keep, sample
-- Returns: whether this call kept it (1/0)
if redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[1]) > 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[3])
return 1
