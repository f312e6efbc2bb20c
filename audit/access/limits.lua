-- The limits of one writer: token buckets of events and bytes, and quotas of a UTC day, all or none of them charged.
-- KEYS: bucket (hash), day (hash), epochs of the day (set). ARGV: events, bytes; then rate a second and capacity of
-- events, the same of bytes; then the quotas of events, bytes and epochs; -1 where there is none; then whether the day
-- counts it (1 or 0), and the epochs.
-- Returns what refuses ("" for nothing), the milliseconds until it may be tried again, what is left, and the day.
local now = redis.call('TIME')
local seconds = tonumber(now[1])
local at = seconds + tonumber(now[2]) / 1000000
local amount = {events = tonumber(ARGV[1]), bytes = tonumber(ARGV[2])}
local bucket = {events = {tonumber(ARGV[3]), tonumber(ARGV[4])}, bytes = {tonumber(ARGV[5]), tonumber(ARGV[6])}}
local quota = {events = tonumber(ARGV[7]), bytes = tonumber(ARGV[8]), epochs = tonumber(ARGV[9])}

local day = string.format('%d', math.floor(seconds / 86400))
if redis.call('HGET', KEYS[2], 'day') ~= day then
    redis.call('DEL', KEYS[2], KEYS[3])
    redis.call('HSET', KEYS[2], 'day', day)
end
local until_midnight = (86400 - seconds % 86400) * 1000
for _, name in ipairs({'events', 'bytes'}) do
    local used = tonumber(redis.call('HGET', KEYS[2], name) or '0')
    if quota[name] >= 0 and used + amount[name] > quota[name] then
        return {'quota of ' .. name, until_midnight, math.max(quota[name] - used, 0), day}
    end
end
if quota.epochs >= 0 then
    local known, new = redis.call('SCARD', KEYS[3]), 0
    for i = 11, #ARGV do
        new = new + 1 - redis.call('SISMEMBER', KEYS[3], ARGV[i])
    end
    if known + new > quota.epochs and new > 0 then
        return {'quota of epochs', until_midnight, math.max(quota.epochs - known, 0), day}
    end
end
local tokens = {}
for _, name in ipairs({'events', 'bytes'}) do
    local rate, capacity = bucket[name][1], bucket[name][2]
    if rate > 0 then
        local had = tonumber(redis.call('HGET', KEYS[1], name) or capacity)
        local since = tonumber(redis.call('HGET', KEYS[1], 'at') or at)
        had = math.min(capacity, had + math.max(at - since, 0) * rate)
        local needed = math.min(amount[name], capacity)
        if had < needed then
            return {'rate of ' .. name, math.ceil((needed - had) / rate * 1000), math.max(math.floor(had), 0), day}
        end
        tokens[name] = had - amount[name]
    end
end
for name, left in pairs(tokens) do
    redis.call('HSET', KEYS[1], name, string.format('%.3f', left), 'at', string.format('%.6f', at))
    redis.call('EXPIRE', KEYS[1], 172800)
end
if ARGV[10] == '1' then
    redis.call('HINCRBY', KEYS[2], 'events', amount.events)
    redis.call('HINCRBY', KEYS[2], 'bytes', amount.bytes)
end
redis.call('EXPIRE', KEYS[2], 172800)
for i = 11, #ARGV do
    redis.call('SADD', KEYS[3], ARGV[i])
    redis.call('EXPIRE', KEYS[3], 172800)
end
return {'', 0, 0, day}
