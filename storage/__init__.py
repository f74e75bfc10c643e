"""The cellar: Postgres, Redis, and the servers that `make run` brings along.

The only room that imports asyncpg and redis. SQL and Lua live in files.

Map:
addresses.py  the form under which an account is found by its e-mail
errors.py   what goes wrong here
locking.py  what the write of an item locks
geo.py      distances as the database computes them
servers.py  the servers beside us, given or embedded
embedded/   a real Postgres and a real Valkey from wheels, started and stopped by us
postgres/   pool, named blocks, the journal, migrations
redis/      client, one-use tickets, rate limits
memory/     the journal's twin in memory, for unit tests and the simulator
"""
