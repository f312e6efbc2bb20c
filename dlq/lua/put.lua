-- Set fields of a small hash. HDEL goes first, so that it works while Redis is full.
-- KEYS: hash
-- ARGV: field and value of each; an empty value removes the field
for i = 1, #ARGV, 2 do
  redis.call('HDEL', KEYS[1], ARGV[i])
  if ARGV[i + 1] ~= '' then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 0
