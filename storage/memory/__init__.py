"""The twins in memory of the journal and the leases: same rules, same answers, no server.

Unit tests and the simulator use it; tests/contracts holds each and the real one to one suite.

Map:
journal.py   MemoryJournal: claim, load, flush, due, read
placing.py   MemoryPlacing: the part of it that places orders
due.py       timers of orders
guards.py    which changes of orders are let through
locks.py     rows that somebody holds
leases.py    LeaseTable: what Redis would hold; MemoryLeases: one instance's view of it
"""
