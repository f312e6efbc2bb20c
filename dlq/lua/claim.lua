-- Lease due messages to one drainer. Frees nothing, but must work while Redis is full: ZREM goes first.
-- KEYS: stream, due, leased
-- ARGV: now (ms), limit, lease end (ms), bytes after which no further message is taken
-- Returns: {id, fields} for each; fields is false where the stream has no such entry any more
local stream, due, leased = KEYS[1], KEYS[2], KEYS[3]
local now, limit, lease_end, most = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

-- A drainer that died holds nothing for ever: what it had leased is due again.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leased, '-inf', now, 'LIMIT', 0, limit)) do
  redis.call('ZREM', leased, id)
  redis.call('ZADD', due, now, id)
end

local claimed, size = {}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  if size > most then break end
  redis.call('ZREM', due, id)
  redis.call('ZADD', leased, lease_end, id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  claimed[#claimed + 1] = {id, entry and entry[2] or false}
  if entry then
    for _, field in ipairs(entry[2]) do size = size + #field end
  end
end
return claimed
