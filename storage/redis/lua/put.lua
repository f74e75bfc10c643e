-- Put a value into the cache unless somebody has changed the place since it was looked at.
-- KEYS[1]: the place. ARGV: the stamp that was seen ('' for nothing), the new value with its stamp, its life in ms.
-- Returns 1 if it was put.
if ARGV[1] == '' then
  return redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3], 'NX') and 1 or 0
end
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
