-- At most `limit` hits in any `window`, exactly: each key is a list of the times of the last hits. (A fixed window
-- admits twice the limit across its edge; a token bucket almost twice.) Many requests, one after the other, in one call.
-- KEYS: for each request the keys to give a hit back to, then the keys to be counted in.
-- ARGV: for each request: number of keys to give back to, time of that hit, number of keys to be counted in, and for
-- each of these limit and window in microseconds. A hit is counted in all keys, or in none and nothing is given back.
-- Returns for each request {allowed, time of this hit, and for each key: hits used, microseconds until one is free}.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
-- tostring() would round it to fourteen digits.
local stamp = string.format('%.0f', now)
local key, arg, answers = 0, 1, {}
-- The oldest hit of a log. What is no list was made by somebody else, and would fail the requests of everybody who is
-- counted in this call: it is removed, and so is a hit that is no time.
local function oldest_of(log)
  local oldest = redis.pcall('LINDEX', log, 0)
  if type(oldest) == 'table' then
    redis.call('DEL', log)
    redis.log(redis.LOG_WARNING, 'removed ' .. log .. ': it was no list')
    return false
  end
  return oldest
end
while arg <= #ARGV do
  local backs, old, hits = tonumber(ARGV[arg]), ARGV[arg + 1], tonumber(ARGV[arg + 2])
  arg = arg + 3
  local first, allowed, used = key + backs, 1, {}
  for i = 1, hits do
    local log, limit, window = KEYS[first + i], tonumber(ARGV[arg + 2 * i - 2]), tonumber(ARGV[arg + 2 * i - 1])
    local oldest = oldest_of(log)
    while oldest and (tonumber(oldest) or 0) <= now - window do
      redis.call('LPOP', log)
      oldest = redis.call('LINDEX', log, 0)
    end
    used[i] = redis.call('LLEN', log)
    if used[i] >= limit then allowed = 0 end
  end
  if allowed == 1 then
    for i = 1, backs do redis.pcall('LREM', KEYS[key + i], -1, old) end
  end
  local answer = {allowed, now}
  for i = 1, hits do
    local log, limit, window = KEYS[first + i], tonumber(ARGV[arg + 2 * i - 2]), tonumber(ARGV[arg + 2 * i - 1])
    if allowed == 1 then
      redis.call('RPUSH', log, stamp)
      redis.call('PEXPIRE', log, math.ceil(window / 1000))
      used[i] = used[i] + 1
    end
    -- A limit that was lowered meanwhile finds more hits than it allows: all but `limit - 1` must leave.
    local freeing = redis.call('LINDEX', log, math.max(0, used[i] - limit))
    answer[#answer + 1] = used[i]
    answer[#answer + 1] = freeing and ((tonumber(freeing) or now) + window - now) or window
  end
  arg, key = arg + 2 * hits, first + hits
  answers[#answers + 1] = answer
end
return answers
