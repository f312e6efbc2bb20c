-- What of one writer is kept though it is not valid, on a UTC day of this Redis: all of it is charged, or nothing.
-- KEYS: the count (hash). ARGV: events, bytes, the most of each. Returns whether it may be kept (1 or 0).
local seconds = tonumber(redis.call('TIME')[1])
local day = string.format('%d', math.floor(seconds / 86400))
if redis.call('HGET', KEYS[1], 'day') ~= day then
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'day', day)
end
redis.call('EXPIRE', KEYS[1], 172800)
for place, name in ipairs({'events', 'bytes'}) do
    local used = tonumber(redis.call('HGET', KEYS[1], name) or '0')
    if used + tonumber(ARGV[place]) > tonumber(ARGV[place + 2]) then return 0 end
end
redis.call('HINCRBY', KEYS[1], 'events', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'bytes', ARGV[2])
return 1
