-- Which generation of the queue this is, and how far it has come. DEL goes first, so that it works while Redis is full.
-- KEYS: stream, stats, generation
-- ARGV: id of a new generation, whether one begins in any case (1/0); else only where none is known
-- Returns: id of the generation, the last id that the stream gave, how many came, how many are gone
local stream, stats, generation = KEYS[1], KEYS[2], KEYS[3]
local id = redis.call('GET', generation)
if not id or ARGV[2] == '1' then
  id = ARGV[1]
  redis.call('DEL', generation)
  redis.call('SET', generation, id)
end

local last_id = '0-0'
if redis.call('EXISTS', stream) == 1 then
  local facts = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then last_id = facts[i + 1] end
  end
end
local gone = 0
for _, name in ipairs({'drained', 'duplicate', 'quarantined', 'discarded', 'lost'}) do
  gone = gone + tonumber(redis.call('HGET', stats, name) or 0)
end
return {id, last_id, tonumber(redis.call('HGET', stats, 'enqueued') or 0), gone}
