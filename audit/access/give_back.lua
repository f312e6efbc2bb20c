-- Takes back from the day of a writer what it was charged, while that day lasts.
-- KEYS: day (hash). ARGV: the day that was charged, events, bytes.
if redis.call('HGET', KEYS[1], 'day') == ARGV[1] then
    for place, name in ipairs({'events', 'bytes'}) do
        -- What Redis lost meanwhile is not taken back: no day begins below 0.
        local left = tonumber(redis.call('HGET', KEYS[1], name) or '0') - tonumber(ARGV[place + 1])
        redis.call('HSET', KEYS[1], name, string.format('%d', math.max(left, 0)))
    end
end
