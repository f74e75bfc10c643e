"""Postgres, Redis, and the servers that `make run` starts.

The only package that imports asyncpg and redis. SQL and Lua live in files.

Map:
email_addresses.py  normal form of an e-mail address
errors.py           errors of the stores
locking.py          rows that a write locks
geo.py              distances as the database computes them
servers.py          servers: given by address, or embedded
health.py           readiness checks of the stores
catalogue.py        products and stores through the cache
embedded/           Postgres and Valkey from wheels, started and stopped by us
postgres/           connections, named statements, the journal, migrations
redis/              leases, rate limits, cache, tickets
memory/             journal and leases in memory, for unit tests and the simulator
"""
