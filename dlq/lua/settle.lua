-- Bring counters to what is there, of labels that nothing came to and nothing left since they were read.
-- KEYS: passages
-- ARGV: for each label: label, came, gone and dead as read, then there, dead and the first id as found in the stream
-- Returns: how many labels were left alone, because they moved
local passages, moved = KEYS[1], 0
local function of(name, label) return tonumber(redis.call('HGET', passages, name .. '|' .. label) or 0) end
for i = 1, #ARGV, 7 do
  local label, came, dead = ARGV[i], of('came', ARGV[i]), of('dead', ARGV[i])
  local gone = 0
  for _, name in ipairs({'drained', 'duplicate', 'quarantined', 'discarded', 'lost'}) do gone = gone + of(name, label) end
  if came ~= tonumber(ARGV[i + 1]) or gone ~= tonumber(ARGV[i + 2]) or dead ~= tonumber(ARGV[i + 3]) then
    moved = moved + 1
  else
    local more = tonumber(ARGV[i + 4]) - (came - gone)
    if more > 0 then redis.call('HINCRBY', passages, 'came|' .. label, more) end
    if more < 0 then redis.call('HINCRBY', passages, 'lost|' .. label, -more) end
    if ARGV[i + 5] ~= ARGV[i + 3] then redis.call('HSET', passages, 'dead|' .. label, ARGV[i + 5]) end
    redis.call('HSETNX', passages, 'first|' .. label, ARGV[i + 6])
  end
end
return moved
