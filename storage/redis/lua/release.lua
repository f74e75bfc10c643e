-- Give up leases, and with them the place among the members when an instance is named.
-- KEYS[1]: what every key begins with. ARGV: incarnation, instance that leaves or '', shards...
local base, incarnation, instance = KEYS[1], ARGV[1], ARGV[2]
for i = 3, #ARGV do
  local lease = base .. 'lease:' .. ARGV[i]
  if redis.call('GET', lease) == incarnation then
    redis.call('DEL', lease)
  end
end
local record = instance ~= '' and redis.call('GET', base .. 'inst:' .. instance)
if record then
  -- A later life under the same name keeps its record.
  local readable, member = pcall(cjson.decode, record)
  if readable and type(member) == 'table' and member.incarnation == incarnation then
    redis.call('DEL', base .. 'inst:' .. instance)
    redis.call('SREM', base .. 'members', instance)
  end
end
return 1
