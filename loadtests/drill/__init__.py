"""Drills of alerts: a fault is made, and it is measured when somebody is told of it, and when the alert has cleared.

    python -m loadtests.drill [--faults kill disk_full] [--rounds 3] [--at-once 2] [--json drill.json]

Each round has a folder, a server, Postgres, Valkey, Prometheus and Alertmanager of its own, with the rules, times and
routes that are shipped (config/deploy). Whoever is told is a webhook here.

Map:
__main__.py   the command line: rounds in processes of their own, one report
faults.py     the faults: how each is made and ended, and the alerts that it must lead to
mall.py       the server under drill, with what it needs
load.py       a light steady load: customers over REST, drivers on the feed
monitoring.py the real Prometheus and Alertmanager on the files that are shipped
past.py       an hour of good service for a new Prometheus to look back at
pager.py      the webhook that is told
drill.py      one round: steady state, fault, page, end of the fault, all clear
report.py     rounds, the table, the limits
runbooks.py   writes measured times into the runbooks
"""
