"""Many instances under load and faults: does every promise hold, and how soon is the service back?

    python -m loadtests.chaos [--minutes 20] [--instances 4] [--seed 1]

Postgres and Redis belong to the tool. Each instance sees them, and its peers, through proxies that can cut it
off. The people and the checker are those of the crash test.

Map:
__main__.py   the command line: one run, one report
plan.py       the faults, and a seeded plan of them
nemesis.py    carries the plan out
instance.py   one instance between proxies: kill, freeze, cut, restart
proxy.py      a TCP proxy that can go deaf or rude
roaming.py    callers who go to another instance when theirs does not answer
probes.py     open-loop probes, and how long a fault was felt
watch.py      who owns which shard at which epoch
stage.py      the cluster, its people, and what befalls both
report.py     faults, commands, verdict
"""
