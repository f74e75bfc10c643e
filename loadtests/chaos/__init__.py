"""Many instances under load and faults: does every promise hold, and how soon is the service back?

    python -m loadtests.chaos [--minutes 20] [--instances 4] [--seed 1]

Postgres and Redis belong to the tool. Each instance sees them, and its peers, through proxies that can cut it
off. Virtual users and checker are those of `loadtests/faults`.

Map:
__main__.py   the command line: one run, one report
plan.py       the faults, and a seeded plan of them
nemesis.py    carries the plan out
instance.py   one instance between proxies: kill, freeze, cut, restart
proxy.py      a TCP proxy that can hold data back or reset connections
roaming.py    callers who go to another instance when theirs does not answer
probes.py     open-loop probes, and how long a fault was felt
watch.py      who owns which shard at which epoch
run.py        one run: the cluster, its users, the faults, the end
report.py     faults, commands, the verdict
"""
