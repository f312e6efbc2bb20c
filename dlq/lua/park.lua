-- Park documents: all of them, or none.
-- KEYS: stream, due, ids, stats, alarm, passages
-- ARGV: now (ms), first try (ms), reason, alert depth, whether they were here before (1/0), whether replicas must confirm
--       (1/0), then for each document: key, digest, body, source, kind, received_at (microseconds)
-- Returns: depth, whether this call raised the alarm (1/0), then for each document "parked", "duplicate" or "conflict"
local stream, due, ids, stats, alarm, passages = unpack(KEYS)
local first_try, reason, alert_depth = ARGV[2], ARGV[3], tonumber(ARGV[4])
local outcomes, seen, conflict = {}, {}, false

for i = 7, #ARGV, 6 do
  local key, digest = ARGV[i], ARGV[i + 1]
  local known = seen[key]
  if not known then
    local id = redis.call('HGET', ids, key)
    if id then
      local entry = redis.call('XRANGE', stream, id, id)[1]
      if entry then
        for f = 1, #entry[2], 2 do
          if entry[2][f] == 'digest' then known = entry[2][f + 1] end
        end
      end
    end
  end
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

if not conflict then
  local parked, labels, first = 0, {}, {}
  for n, outcome in ipairs(outcomes) do
    if outcome == 'parked' then
      local i = 7 + (n - 1) * 6
      local id = redis.call('XADD', stream, '*', 'key', ARGV[i], 'digest', ARGV[i + 1], 'body', ARGV[i + 2],
        'source', ARGV[i + 3], 'kind', ARGV[i + 4], 'received_at', ARGV[i + 5], 'reason', reason)
      redis.call('ZADD', due, first_try, id)
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
    redis.call('HSETNX', stats, 'since', ARGV[1])
    for label, count in pairs(labels) do
      if redis.call('HINCRBY', passages, 'came|' .. label, count) == count then
        redis.call('HSET', passages, 'first|' .. label, first[label])
      end
      if ARGV[5] == '1' then redis.call('HINCRBY', passages, 'again|' .. label, count) end
    end
  end
end

-- WAIT and WAITAOF ask about the last write of this connection: without one, any replica confirms a duplicate.
if ARGV[6] == '1' then redis.call('HINCRBY', stats, 'confirmations', 1) end

local depth, raised = redis.call('XLEN', stream), 0
if depth > alert_depth and not redis.call('HGET', alarm, 'depth_since') then
  redis.call('HSET', alarm, 'depth_since', ARGV[1])
  raised = 1
end
return {depth, raised, unpack(outcomes)}
