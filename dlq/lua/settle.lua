-- Bring the counters of labels to what the stream holds, unless something came or left since they were read.
-- KEYS: counters
-- ARGV: for each label: label, came, gone and dead as read, then count, dead and the first id as the stream has them
-- Returns: how many labels were left alone, because they moved
local WAYS_OUT = {'drained', 'duplicate', 'quarantined', 'discarded', 'lost'}
local counters, moved = KEYS[1], 0
local function value_of(name, label) return tonumber(redis.call('HGET', counters, name .. '|' .. label) or 0) end
for i = 1, #ARGV, 7 do
  local label, came, dead = ARGV[i], value_of('came', ARGV[i]), value_of('dead', ARGV[i])
  local gone = 0
  for _, name in ipairs(WAYS_OUT) do gone = gone + value_of(name, label) end
  if came ~= tonumber(ARGV[i + 1]) or gone ~= tonumber(ARGV[i + 2]) or dead ~= tonumber(ARGV[i + 3]) then
    moved = moved + 1
  else
    local more = tonumber(ARGV[i + 4]) - (came - gone)
    if more > 0 then redis.call('HINCRBY', counters, 'came|' .. label, more) end
    if more < 0 then redis.call('HINCRBY', counters, 'lost|' .. label, -more) end
    if ARGV[i + 5] ~= ARGV[i + 3] then redis.call('HSET', counters, 'dead|' .. label, ARGV[i + 5]) end
    redis.call('HSETNX', counters, 'first|' .. label, ARGV[i + 6])
  end
end
return moved
