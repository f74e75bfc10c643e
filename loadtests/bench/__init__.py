"""This design beside others, on one Postgres: `make bench`; and what a change, an actor or a search costs.

Map:
__main__.py   the run: every cell, every peer, the report
setup.py      the server, its peers, accounts and orders
cells.py      what is measured: accepting, creating, reading
pairs.py      what a change has cost: two versions of this server in turn
flames.py     where the time goes: a sampling profiler beside a measurement
table.py      the report, the ratios and the promises
peer_auth.py  the check of tokens, the same in every peer
bodies.py     what the peers are sent and answer
tables.py     the peers' tables for SQLAlchemy
rowlock.py    peer (a): the row-lock design of the original plan
threads.py    peer (f): the same in threads
plain.py      peers (d) and (e): bare aiohttp, and the strongest simple design
peers.sql     the peers' tables
resident.py   what many actors in memory cost
jobs.py       what background jobs cost: until they start, each of them, and none
webhooks.py   from a commit to the receivers of its webhooks
geo.py        the search around a place, with and without PostGIS
"""
