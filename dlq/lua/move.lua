-- Move messages between due, leased and dead, and add to their history. Works while Redis is full: ZREM goes first.
-- KEYS: stream, due, leased, dead, stats, target (due or dead), counters
-- ARGV: attempts ("keep", "reset" or "count"), error as JSON or "", errors kept, name of a total to add to or "",
--       then for each message: id, delay from now (ms), the key of its history
-- Returns: how many were moved; what is not in the stream any more is not
local stream, due, leased, dead, stats, target, counters = unpack(KEYS)
local attempts, error, kept, total = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moved = 0

local function label_of(flat)
  local fields = {}
  for f = 1, #flat, 2 do fields[flat[f]] = flat[f + 1] end
  local received_at = string.match(fields['received_at'] or '', '^%d+$') or 0
  return string.format('%d|%s', math.floor(received_at / 86400000000), fields['source'] or '')
end

for i = 5, #ARGV, 3 do
  local id, delay, history = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  redis.call('ZREM', due, id)
  redis.call('ZREM', leased, id)
  local died = (target == dead and 1 or 0) - redis.call('ZREM', dead, id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    redis.call('ZADD', target, now + delay, id)
    if died ~= 0 then redis.call('HINCRBY', counters, 'dead|' .. label_of(entry[2]), died) end
    if attempts == 'count' then redis.call('HINCRBY', history, 'attempts', 1) end
    if attempts == 'reset' then redis.call('HDEL', history, 'attempts') end
    if error ~= '' then
      local errors = cjson.decode(redis.call('HGET', history, 'errors') or '[]')
      errors[#errors + 1] = cjson.decode(error)
      while #errors > kept do table.remove(errors, 1) end
      redis.call('HSET', history, 'errors', cjson.encode(errors))
    end
    moved = moved + 1
  end
end
if total ~= '' and moved > 0 then redis.call('HINCRBY', stats, total, moved) end
return moved
