-- Drop look-ups whose entry is gone from the stream. Whoever removes an entry removes its look-up in the same script,
-- so that what is found here at one moment was removed by other hands.
-- KEYS: stream, ids
-- ARGV: for each look-up: key, id
-- Returns: the keys whose look-up was dropped
local stream, ids = KEYS[1], KEYS[2]
local dropped = {}
for i = 1, #ARGV, 2 do
  local key, id = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', ids, key) == id and not redis.call('XRANGE', stream, id, id)[1] then
    redis.call('HDEL', ids, key)
    dropped[#dropped + 1] = key
  end
end
return dropped
