-- Pass leases from one incarnation to another; at no moment are they free.
-- KEYS[1]: what every key begins with. ARGV: giver, taker, lease in ms, shards...
-- Returns the shards that were passed on.
local base, passed = KEYS[1], {}
for i = 4, #ARGV do
  local lease = base .. 'lease:' .. ARGV[i]
  if redis.call('GET', lease) == ARGV[1] then
    redis.call('SET', lease, ARGV[2], 'PX', ARGV[3])
    passed[#passed + 1] = tonumber(ARGV[i])
  end
end
return passed
