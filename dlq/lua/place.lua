-- Give entries of the stream their places again: due where they have none, and the look-up of their key.
-- An entry that a drainer removed meanwhile gets none. HDEL goes first, so that it works while Redis is full.
-- KEYS: stream, due, leased, dead, ids
-- ARGV: for each entry: id, key ("" where it has none)
local stream, due, leased, dead, ids = unpack(KEYS)
redis.call('HDEL', ids, '')
for i = 1, #ARGV, 2 do
  local id, key = ARGV[i], ARGV[i + 1]
  if redis.call('XRANGE', stream, id, id)[1] then
    local placed = redis.call('ZSCORE', due, id) or redis.call('ZSCORE', leased, id) or redis.call('ZSCORE', dead, id)
    if not placed then redis.call('ZADD', due, 0, id) end
    if key ~= '' then redis.call('HSET', ids, key, id) end
  end
end
return 0
