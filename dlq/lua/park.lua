-- Park documents: all of them or none, or each that is not in conflict.
-- KEYS: stream, due, ids, stats, alarm, counters
-- ARGV: delay of the first try (ms), reason, alert depth, whether they were here before (1/0), whether replicas must
--       confirm (1/0), whether each is parked by itself (1/0), then for each document: key, digest, body, source, kind, received_at (microseconds),
--       signature, what is kept beside it (empty: nothing), the trace that brought it (empty: none)
-- Returns: depth, whether this call raised the alarm (1/0), then for each document "parked", "duplicate" or "conflict"
local stream, due, ids, stats, alarm, counters = unpack(KEYS)
local delay, reason, alert_depth, again, confirm = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local each = ARGV[6] == '1'
local FIRST, FIELDS = 7, 9
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local outcomes, seen, conflict = {}, {}, false

local function digest_here(key)
  local id = redis.call('HGET', ids, key)
  local entry = id and redis.call('XRANGE', stream, id, id)[1]
  if not entry then return nil end
  for f = 1, #entry[2], 2 do
    if entry[2][f] == 'digest' then return entry[2][f + 1] end
  end
end

for i = FIRST, #ARGV, FIELDS do
  local key, digest = ARGV[i], ARGV[i + 1]
  local known = seen[key] or digest_here(key)
  if not known then
    outcomes[#outcomes + 1] = 'parked'
    seen[key] = digest
  elseif known == digest then
    outcomes[#outcomes + 1] = 'duplicate'
  else
    outcomes[#outcomes + 1] = 'conflict'
    conflict = true
  end
end

if each or not conflict then
  local parked, labels, first = 0, {}, {}
  for n, outcome in ipairs(outcomes) do
    if outcome == 'parked' then
      local i = FIRST + (n - 1) * FIELDS
      local fields = {'key', ARGV[i], 'digest', ARGV[i + 1], 'body', ARGV[i + 2], 'source', ARGV[i + 3],
        'kind', ARGV[i + 4], 'received_at', ARGV[i + 5], 'mac', ARGV[i + 6], 'reason', reason}
      if ARGV[i + 7] ~= '' then
        fields[#fields + 1] = 'beside'
        fields[#fields + 1] = ARGV[i + 7]
      end
      if ARGV[i + 8] ~= '' then
        fields[#fields + 1] = 'trace'
        fields[#fields + 1] = ARGV[i + 8]
      end
      local id = redis.call('XADD', stream, '*', unpack(fields))
      redis.call('ZADD', due, now + delay, id)
      redis.call('HSET', ids, ARGV[i], id)
      parked = parked + 1
      local label = string.format('%d|%s', math.floor(ARGV[i + 5] / 86400000000), ARGV[i + 3])
      labels[label] = (labels[label] or 0) + 1
      first[label] = first[label] or id
    end
  end
  if parked > 0 then
    redis.call('HINCRBY', stats, 'enqueued', parked)
    redis.call('HINCRBY', stats, 'why:' .. reason, parked)
    redis.call('HSETNX', stats, 'since', now)
    for label, count in pairs(labels) do
      if redis.call('HINCRBY', counters, 'came|' .. label, count) == count then
        redis.call('HSET', counters, 'first|' .. label, first[label])
      end
      if again == '1' then redis.call('HINCRBY', counters, 'again|' .. label, count) end
    end
  end
end

-- WAIT and WAITAOF ask about the last write of this connection: without one, any replica confirms a duplicate.
if confirm == '1' then redis.call('HINCRBY', stats, 'confirmations', 1) end

local depth, raised = redis.call('XLEN', stream), 0
if depth > alert_depth and not redis.call('HGET', alarm, 'depth_since') then
  redis.call('HSET', alarm, 'depth_since', now)
  raised = 1
end
return {depth, raised, unpack(outcomes)}
