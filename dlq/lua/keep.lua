-- Keep what left the queue for the store, for a while; let go of what is kept for too long or is too much, the oldest
-- first. Where Redis is short of memory nothing is kept, and what is kept goes: parking needs the room.
-- Writes that add nothing go first, so that it works while Redis is full.
-- KEYS: kept, stats
-- ARGV: how long it is kept (ms), bytes at most, thousandths of maxmemory above which Redis is short of memory,
--       bytes to let go of in any case, version of the form, then for each portion: how many messages it has, the lengths
--       and the values of their fields (`dlq/kept.py`)
-- Returns: messages kept by this call, messages there, bytes there, messages let go
local kept, stats = KEYS[1], KEYS[2]
local longest, most, share, wanted, version = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
-- What a portion takes beside its fields, about. So many portions go in one call: each is read before it goes.
local FIRST, FIELDS, BESIDE, MOST_GO = 6, 3, 200, 64
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local memory = redis.call('INFO', 'memory')
local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
local limit = tonumber(string.match(memory, 'maxmemory:(%d+)') or 0) * share / 1000

local need = 0
for i = FIRST, #ARGV, FIELDS do need = need + #ARGV[i + 1] + #ARGV[i + 2] + BESIDE end
redis.call('HDEL', stats, '')
local bytes = tonumber(redis.call('HGET', stats, 'kept_bytes') or 0)
local let_go, freed = 0, 0
local function is_too_much() return bytes + need > most or (limit > 0 and used - freed + need > limit) end
for _ = 1, MOST_GO do
  local oldest = redis.call('XRANGE', kept, '-', '+', 'COUNT', 1)[1]
  if not oldest then break end
  local at = tonumber(string.match(oldest[1], '^%d+'))
  -- A time ahead of now is from before this clock was set back.
  if at + longest > now and at <= now + longest and not is_too_much() and freed >= wanted then break end
  local fields, size = {}, BESIDE
  for f = 1, #oldest[2], 2 do fields[oldest[2][f]] = oldest[2][f + 1] end
  size = size + #(fields['lengths'] or '') + #(fields['values'] or '')
  redis.call('XDEL', kept, oldest[1])
  local messages = tonumber(fields['messages']) or 0
  redis.call('HINCRBY', stats, 'kept', -messages)
  bytes = redis.call('HINCRBY', stats, 'kept_bytes', -size)
  let_go, freed = let_go + messages, freed + size
end

local added = 0
if need > 0 and longest > 0 and not is_too_much() then
  for i = FIRST, #ARGV, FIELDS do
    redis.call('XADD', kept, '*', 'version', version, 'messages', ARGV[i], 'lengths', ARGV[i + 1], 'values', ARGV[i + 2])
    redis.call('HINCRBY', stats, 'kept', ARGV[i])
    redis.call('HINCRBY', stats, 'kept_bytes', #ARGV[i + 1] + #ARGV[i + 2] + BESIDE)
    added = added + tonumber(ARGV[i])
  end
end
-- A kill may have cut the counting off from what it counts: an empty stream holds nothing.
if redis.call('XLEN', kept) == 0 then redis.call('HDEL', stats, 'kept', 'kept_bytes') end
local count, size = unpack(redis.call('HMGET', stats, 'kept', 'kept_bytes'))
return {added, tonumber(count or 0), tonumber(size or 0), let_go}
