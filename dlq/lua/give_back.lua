-- Have messages due again that a claim leased and has no room for, unless somebody moved or leased them meanwhile. No
-- entry is read: they may be large.
-- KEYS: due, leased
-- ARGV: end of the lease (ms), then for each message: id, since when it was due (ms); a time that is to come counts as now
-- Returns: how many are due again
local due, leased, lease_end = KEYS[1], KEYS[2], tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local given_back = 0
-- A write that adds nothing goes first, so that this works while Redis is full.
redis.call('ZREM', leased, '')
for i = 2, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', leased, ARGV[i]) or 0) == lease_end then
    redis.call('ZADD', due, math.min(now, ARGV[i + 1]), ARGV[i])
    redis.call('ZREM', leased, ARGV[i])
    given_back = given_back + 1
  end
end
return given_back
