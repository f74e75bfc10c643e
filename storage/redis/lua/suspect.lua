-- Remove an incarnation that renewed nothing for some time.
-- KEYS[1]: what every key begins with. ARGV: incarnation, instance, lease in ms, quiet in ms, number of shards.
-- Returns 1 when it is gone, 0 when one of its keys is too fresh; then nothing is touched.
local base, incarnation, instance = KEYS[1], ARGV[1], ARGV[2]
local record_key = base .. 'inst:' .. instance
local remaining_ms_max = tonumber(ARGV[3]) - tonumber(ARGV[4])

local leases = {}
for shard = 0, tonumber(ARGV[5]) - 1 do
  leases[shard + 1] = base .. 'lease:' .. shard
end
local doomed = {}
for place, holder in ipairs(redis.call('MGET', unpack(leases))) do
  if holder == incarnation then
    doomed[#doomed + 1] = leases[place]
  end
end
-- After a restart the record is that of a new life, and stays.
local record, recorded = redis.call('GET', record_key), false
if record then
  local readable, member = pcall(cjson.decode, record)
  recorded = readable and type(member) == 'table' and member.incarnation == incarnation
end
if recorded then
  doomed[#doomed + 1] = record_key
end

for _, key in ipairs(doomed) do
  if redis.call('PTTL', key) > remaining_ms_max then
    return 0
  end
end
for _, key in ipairs(doomed) do
  redis.call('DEL', key)
end
if recorded then
  redis.call('SREM', base .. 'members', instance)
end
return 1
