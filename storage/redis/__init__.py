"""Redis: what may be lost at any time. Nothing here is needed for a correct answer.

Map:
client.py    one client for commands, with short patience
looking.py   what a start needs of the server, looked at and not touched
keys.py      names of keys: each begins with the cluster's
tickets.py   one-use tickets that open a driver's socket from a browser
limits.py    rate limits: exact in any window across all instances
sliding_log.py counts in Redis, many requests in one call; away when Redis is
local_log.py what one instance remembers of its own: the limits' fallback
leases.py    RedisLeases: who should serve a shard
ticker.py    the thread that renews the leases
cache.py     a cache beside Postgres: one query for many, nothing old after a change
entries.py   its places in Redis, with stamps and marks
lua/         one script a file
"""
