"""Redis: data that may be lost at any time. Nothing here is needed for a correct answer.

Map:
client.py           one client, with short timeouts
preflight.py        checks what a start needs of the server, and changes nothing
keys.py             names of keys; each begins with the cluster's name
tickets.py          one-use tickets that open a driver's socket from a browser
limits.py           rate limits: exact in any window across all instances
shared_window.py    sliding window in Redis, many requests in one call
local_window.py     sliding window of one instance: the fallback
leases.py           RedisLeases: which instance should serve a shard
lease_heartbeat.py  thread that renews the leases
cache.py            cache-aside: one query for many readers, nothing stale after a change
cache_store.py      entries of the cache in Redis, with stamps
lua/                one script a file
"""
