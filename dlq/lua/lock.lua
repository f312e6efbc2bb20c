-- Take a lock, or hold it for longer. DEL goes first, so that it works while Redis is full.
-- KEYS: lock
-- ARGV: token of the holder, how long it is held without a further call (ms)
-- Returns: whether the lock is the caller's (1/0)
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
