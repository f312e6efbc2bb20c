-- Move messages between due, leased and dead, and add to their history.
-- A write that adds nothing goes first, so that it works while Redis is full. Then what adds comes before what removes: a
-- caller that has no right to the target has changed nothing.
-- KEYS: stream, due, leased, dead, stats, target (due or dead), counters
-- ARGV: attempts ("keep", "reset" or "count"), error as JSON or "", errors kept, name of a total to add to or "",
--       then for each message: id, delay from now (ms), the key of its history
-- Returns: how many were moved; what is not in the stream any more is not
local stream, due, leased, dead, stats, target, counters = unpack(KEYS)
local attempts, error, kept, total = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moved = 0

-- 9999-12-31 in microseconds since 1970: what is later is no time, as where these are read.
local LATEST = 253402214400000000

local function label_of(flat)
  local fields = {}
  for f = 1, #flat, 2 do fields[flat[f]] = flat[f + 1] end
  local received_at = tonumber(string.match(fields['received_at'] or '', '^%d+$') or 0)
  if received_at >= LATEST then received_at = 0 end
  return string.format('%d|%s', math.floor(received_at / 86400000000), fields['source'] or '')
end

redis.call('ZREM', leased, '')
for i = 5, #ARGV, 3 do
  local id, delay, history = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local entry = redis.call('XRANGE', stream, id, id)[1]
  local added = entry and redis.call('ZADD', target, now + delay, id) or 0
  local died = target == dead and added or 0
  for _, index in ipairs({due, leased, dead}) do
    if index ~= target or not entry then
      local removed = redis.call('ZREM', index, id)
      if index == dead then died = died - removed end
    end
  end
  if entry then
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
