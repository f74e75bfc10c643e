"""The protocol of ownership as a model that a checker searches to the end: `make model`.

`Ownership.tla` is the protocol, with a switch for each way in which it might have been built wrongly;
`../group_commit.py`, `claim_shards` and `flush` are the code that it stands for. The server imports nothing of it.

Map:
__main__.py    runs everything that is expected, and prints a table
cases.py       what is expected: ours holds, each variant breaks what it should
checker.py     TLC, and the Java it runs on
"""
