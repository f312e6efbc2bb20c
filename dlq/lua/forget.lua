-- Forget the counters of labels that are kept elsewhere, unless they moved since.
-- KEYS: counters
-- ARGV: for each label: label, first id, came
-- Returns: how many were forgotten
local NAMES = {'first', 'came', 'again', 'drained', 'duplicate', 'quarantined', 'discarded', 'lost', 'dead'}
local forgotten = 0
for i = 1, #ARGV, 3 do
  local label = ARGV[i]
  local known = redis.call('HMGET', KEYS[1], 'first|' .. label, 'came|' .. label)
  if known[1] == ARGV[i + 1] and known[2] == ARGV[i + 2] then
    for _, name in ipairs(NAMES) do redis.call('HDEL', KEYS[1], name .. '|' .. label) end
    forgotten = forgotten + 1
  end
end
return forgotten
