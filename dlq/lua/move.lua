-- Move messages between due, leased and dead, and add to their history. Works while Redis is full: ZREM goes first.
-- KEYS: stream, due, leased, dead, stats, target (one of due and dead), passages
-- ARGV: attempts ("keep", "reset" or "count"), error as JSON or "", errors kept, counter or "",
--       then for each message: id, score (ms), the key of its history
-- Returns: how many were moved; what is not in the stream any more is not
local stream, due, leased, dead, stats, target, passages = unpack(KEYS)
local attempts, error, kept, counter = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local moved = 0

local function label_of(flat)
  local fields = {}
  for f = 1, #flat, 2 do fields[flat[f]] = flat[f + 1] end
  local at = string.match(fields['received_at'] or '', '^%d+$') or 0
  return string.format('%d|%s', math.floor(at / 86400000000), fields['source'] or '')
end

for i = 5, #ARGV, 3 do
  local id, score, history = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  redis.call('ZREM', due, id)
  redis.call('ZREM', leased, id)
  local died = (target == dead and 1 or 0) - redis.call('ZREM', dead, id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    redis.call('ZADD', target, score, id)
    if died ~= 0 then redis.call('HINCRBY', passages, 'dead|' .. label_of(entry[2]), died) end
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
if counter ~= '' and moved > 0 then redis.call('HINCRBY', stats, counter, moved) end
return moved
