-- Take leases that nobody holds.
-- KEYS[1]: what every key begins with. ARGV: incarnation, lease in ms, '1' if proven, shards...
-- Returns the shards that were won.
local base, won = KEYS[1], {}
-- Without memory, or with that of another process, "nobody holds it" is worth nothing: its holder may not have
-- ticked since.
local process = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local gen = redis.call('GET', base .. 'gen')
local forgetful = not gen or string.match(gen, '^(%w*):') ~= process or redis.call('EXISTS', base .. 'young') == 1
if forgetful and ARGV[3] ~= '1' then
  return won
end
for i = 4, #ARGV do
  if redis.call('SET', base .. 'lease:' .. ARGV[i], ARGV[1], 'NX', 'PX', ARGV[2]) then
    won[#won + 1] = tonumber(ARGV[i])
  end
end
return won
