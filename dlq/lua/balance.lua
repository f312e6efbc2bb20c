-- Count as lost, for good, what came and is nowhere. A total of what came that is too small was lost itself.
-- KEYS: stream, stats
-- Returns: how many were counted as lost
local stream, stats = KEYS[1], KEYS[2]
redis.call('HDEL', stats, '')
local function total(name) return tonumber(redis.call('HGET', stats, name) or 0) end
local lost = total('enqueued') - redis.call('XLEN', stream)
for _, name in ipairs({'drained', 'duplicate', 'quarantined', 'discarded', 'lost'}) do lost = lost - total(name) end
if lost > 0 then redis.call('HINCRBY', stats, 'lost', lost) end
if lost < 0 then redis.call('HINCRBY', stats, 'enqueued', -lost) end
return math.max(lost, 0)
