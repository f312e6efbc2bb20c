-- End an outage, unless something was parked meanwhile. HDEL goes first, so that it works while Redis is full.
-- KEYS: stats, outage
-- ARGV: how many had come when it was closed, the totals that the next outage counts from (JSON)
-- Returns: whether it is closed (1/0)
if redis.call('HGET', KEYS[1], 'enqueued') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'since')
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'base', ARGV[2])
return 1
