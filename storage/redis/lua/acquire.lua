-- Take leases that nobody holds.
-- KEYS[1]: what every key begins with. ARGV: incarnation, lease in ms, '1' if proven, shards...
-- Returns the shards that were won.
local base, won = KEYS[1], {}
-- Without memory "nobody holds it" is worth nothing: its holder may not have ticked since.
local forgetful = redis.call('EXISTS', base .. 'gen') == 0 or redis.call('EXISTS', base .. 'young') == 1
if forgetful and ARGV[3] ~= '1' then
  return won
end
for i = 4, #ARGV do
  if redis.call('SET', base .. 'lease:' .. ARGV[i], ARGV[1], 'NX', 'PX', ARGV[2]) then
    won[#won + 1] = tonumber(ARGV[i])
  end
end
return won
