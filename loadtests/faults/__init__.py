"""One server under faults, and whether every promise was kept.

Map:
crash.py           kills the server and restarts Postgres under load
race.py            many drivers for one order, one driver for many
idempotency.py     orders and payments under keys while everything is killed
workload.py        virtual users over REST: customers and an administrator
feed_workload.py   virtual drivers, who lose their connection all the time
history.py         what users were told and what is recorded, as plain data
recorded.py        reads the record out of the database, as of one moment
checker.py         whether history and record agree: pure functions
"""
