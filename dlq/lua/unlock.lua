-- Give a lock back, if it is still the caller's.
-- KEYS: lock
-- ARGV: token of the holder
-- Returns: whether it was (1/0)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
