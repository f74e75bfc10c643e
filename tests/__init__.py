"""Tests, in folders by what they need. README.md says where a new test goes and how to run one.

Map:
README.md     the tiers, shared servers and fixtures, flaky tests, seeds of the simulator
conftest.py   fixtures of all folders: Postgres, Valkey, a fresh database, a short temporary path
unit/         one module or a few, in memory, without I/O
contracts/    one suite for an implementation in memory and for the real one
integration/  one part of ours on a real Postgres, Valkey or TCP connection
browser/      the pages in a real browser
acceptance/   the whole program, asked over HTTP and WebSocket as its users ask it
simulation/   three instances on a virtual clock, with faults drawn from a seed
house/        tests about the repository itself: names, maps, docstrings, locks, compose.yaml
support/      modules that several folders use
generators/   programs that use generated clients, for acceptance/test_generators.py
spectral/     linters of npm on the documents of the API, for `make spectral`
"""
