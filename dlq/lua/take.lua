-- Take the first entries out of the inbox, if they are still the first: another drainer may have taken them.
-- KEYS: inbox
-- ARGV: SHA-1 of each entry, in hexadecimal digits, in their order
-- Returns: how many were taken, all or none
local rows = redis.call('LRANGE', KEYS[1], 0, #ARGV - 1)
if #rows < #ARGV then return 0 end
for place, row in ipairs(rows) do
  if redis.sha1hex(row) ~= ARGV[place] then return 0 end
end
redis.call('LTRIM', KEYS[1], #ARGV, -1)
return #ARGV
