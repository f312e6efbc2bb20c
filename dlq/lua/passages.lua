-- The counters per day and source at one moment. Reads only: a transaction would be refused while Redis is full.
-- KEYS: stream, dead, counters
-- Returns: how many messages there are, how many of them are dead, then name and value of each counter
return {redis.call('XLEN', KEYS[1]), redis.call('ZCARD', KEYS[2]), redis.call('HGETALL', KEYS[3])}
