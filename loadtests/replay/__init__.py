"""Replays a real delivery day through the public API and the drivers' feed.

Map:
__main__.py   the command line and the run
day.py        the day's files, places, rules and clock
mall.py       its stores, built, operated and audited over the API
people.py     its users, with tokens that stay good
courier.py    its couriers: they accept, drive, wait, pick up and drop off by the rules
record.py     what happened, in minutes, and what went wrong
progress.py   how far it has come
report.py     its measures, the report, and the solution's three files
check.py      an independent check of those files against the rules
"""
