"""This design beside others, in one run and on one Postgres: `make bench`.

Map:
__main__.py   the run: every cell, every peer, the report
stage.py      the server, its peers, people and orders
cells.py      what is measured: accepting, creating, reading
load.py       closed loops over connections and sockets
pairs.py      what a change has cost: two versions of this server in turn
flames.py     where the time goes: a sampling profiler beside a measurement
table.py      the report, the ratios and the promises
gate.py       the door of every peer: the same check of the same tokens
wanted.py     what the peers are sent and answer
tables.py     the peers' tables for SQLAlchemy
rowlock.py    peer (a): the row-lock design of the original plan
threads.py    peer (f): the same in threads
plain.py      peers (d) and (e): bare aiohttp, and the strongest simple design
peers.sql     the peers' tables
"""
