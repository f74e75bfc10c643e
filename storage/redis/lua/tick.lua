-- One renewal: the caller's record and leases live on, and it learns who else lives and who holds what.
-- KEYS[1]: what every key begins with; one hash tag, so that all are in one slot.
-- ARGV: instance, incarnation, record, lease in ms, random token, number of shards, shards held...
-- Returns {gen, 1 while young, records, holders' names, for each shard the place of its holder's name or 0,
-- the record that stood under this name before, keys that were removed because nobody of us can have written them}.
local base, instance, incarnation, lease_ms = KEYS[1], ARGV[1], ARGV[2], ARGV[4]

-- A key of ours that somebody has made anew by hand, with another type, would fail every renewal until a person deletes
-- it. All that is kept here can be lost at any time, so it is removed, and told.
local removed = {}
local function mend(key, kind)
  local found = redis.call('TYPE', key)['ok']
  if found ~= 'none' and found ~= kind then
    redis.call('DEL', key)
    removed[#removed + 1] = key .. ' was a ' .. found
  end
end
-- Everything of ours ends by itself when nobody renews it; so shall what somebody has made without an end.
local function limit(key)
  if redis.call('PTTL', key) == -1 then
    redis.call('PEXPIRE', key, lease_ms)
    removed[#removed + 1] = key .. ' had no end'
  end
end
mend(base .. 'gen', 'string')
mend(base .. 'young', 'string')
limit(base .. 'young')
mend(base .. 'inst:' .. instance, 'string')
mend(base .. 'members', 'set')

-- No generation: the store is new or has lost its memory. A generation of another process: a replica that took
-- over, or a restart from disk; either may remember an older truth. "Young" is a key that expires, not a date: no
-- two clocks are compared.
local process = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local gen = redis.call('GET', base .. 'gen')
if not gen or string.match(gen, '^(%w*):') ~= process then
  gen = process .. ':' .. ARGV[5]
  redis.call('SET', base .. 'gen', gen)
  redis.call('SET', base .. 'young', '1', 'PX', lease_ms)
end

-- The latest life under a name counts: a restart takes over at once. Whose record was there is told, for two
-- processes of one name would take turns.
local before = redis.call('GET', base .. 'inst:' .. instance)
redis.call('SET', base .. 'inst:' .. instance, ARGV[3], 'PX', lease_ms)
redis.call('SADD', base .. 'members', instance)
local records = {}
for _, name in ipairs(redis.call('SMEMBERS', base .. 'members')) do
  local key = base .. 'inst:' .. name
  mend(key, 'string')
  local record = redis.call('GET', key)
  if record then
    limit(key)
    records[#records + 1] = record
  else
    redis.call('SREM', base .. 'members', name)
  end
end

local leases = {}
for shard = 0, tonumber(ARGV[6]) - 1 do
  leases[shard + 1] = base .. 'lease:' .. shard
end
local held = redis.call('MGET', unpack(leases))
-- What is no string is not seen by MGET, and yet nobody could acquire it.
for place, lease in ipairs(leases) do
  if not held[place] then
    mend(lease, 'string')
  end
end
for i = 7, #ARGV do
  local place = tonumber(ARGV[i]) + 1
  if held[place] == incarnation then
    redis.call('PEXPIRE', leases[place], lease_ms)
  elseif not held[place] then
    redis.call('SET', leases[place], incarnation, 'PX', lease_ms)
    held[place] = incarnation
  end
end

-- A lease of nobody who is known ends by itself, unless somebody has made it by hand.
local known = {[incarnation] = true}
for _, record in ipairs(records) do
  local readable, member = pcall(cjson.decode, record)
  if readable and type(member) == 'table' and member.incarnation then
    known[member.incarnation] = true
  end
end
for place, lease in ipairs(leases) do
  if held[place] and not known[held[place]] then
    limit(lease)
  end
end

-- 256 shards have a handful of holders: names once, then numbers.
local names, number_of, holders = {}, {}, {}
for place = 1, #leases do
  local holder = held[place]
  if holder and not number_of[holder] then
    names[#names + 1] = holder
    number_of[holder] = #names
  end
  holders[place] = holder and number_of[holder] or 0
end
local young = redis.call('EXISTS', base .. 'young')
return {gen, young, records, names, table.concat(holders, ','), before or '', removed}
