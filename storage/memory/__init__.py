"""The journal's twin in memory: same rules, same answers, no server.

Unit tests and the simulator use it; tests/contracts holds it and the real one to one suite.

Map:
journal.py   MemoryJournal: claim, load, flush, due, read, place
"""
