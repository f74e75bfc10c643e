"""Seeded runs of the whole core under a virtual clock: lost answers, restarts, kills, invariants.

loop.py      an event loop without real time: the clock jumps, ready tasks run in seeded order
world.py     the model store behind a bad wire; clients; a nemesis
checks.py    what must hold at every commit and at the end
__main__.py  `python -m tests.simulation --seed N` or `--seeds N`
seeds.txt    seeds that once failed; they stay
"""
