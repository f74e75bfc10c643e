"""TLA+ model of the ownership protocol, searched exhaustively by a model checker: `make model`.

`Ownership.tla` is the protocol, with a switch for each wrong variant. It stands for the code of `../group_commit.py`,
`claim_shards` and `flush`. The server does not import this package.

Map:
__main__.py    runs everything that is expected, and prints a table
cases.py       searches and expected verdicts: the protocol holds, each variant breaks properties
checker.py     TLC, and the Java it runs on
"""
