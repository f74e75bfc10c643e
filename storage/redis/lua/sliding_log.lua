-- At most ARGV[1] hits in any ARGV[2] milliseconds, exactly: the times of the last hits are kept.
-- KEYS[1]: the log. ARGV[3]: unique member. Returns {allowed, remaining, milliseconds until one is free}.
-- (A fixed window admits twice the limit across its edge; a token bucket almost twice.)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
if used >= limit then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {0, 0, oldest[2] + window - now + 1}
end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('PEXPIRE', KEYS[1], window)
return {1, limit - used - 1, window}
