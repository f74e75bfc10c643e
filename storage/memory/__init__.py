"""Journal and leases in memory: the same rules and answers as Postgres and Redis, without a server.

Unit tests and the simulator use them. tests/contracts runs one suite on each and its real counterpart.

Map:
journal.py         MemoryJournal: claim, load, flush, due, read
order_creation.py  creation of orders
due.py             timers of orders
guards.py          legal transitions of orders
locks.py           rows that another session holds
outbox.py          rows of the outbox that a MemoryJournal writes
jobs.py            background work: outbox, event log, jobs, schedules
webhooks.py        endpoints of webhooks, over the same log
plan_steps.py      inputs of the planner's steps
leases.py          LeaseTable: what Redis would hold; MemoryLeases: one instance's view of it
"""
