"""Dashboards of Grafana, as typed Python: `python -m config.deploy.dashboards` writes their JSON.

Map:
panels.py      a dashboard, its panels and their queries, as values
promql.py      pieces of queries, which have a finite value without traffic, too
grafana.py     the JSON, made by Grafana's own builder
boards.py      all dashboards
overview.py    is it well?
business.py    orders, deliveries, drivers, logins
deliveries.py  how long deliveries take, promises kept
dispatch.py    commands, turns, commits, timers
ownership.py   shards, leases, hand-overs, links between instances
feed.py        drivers' sockets
data.py        Postgres, its pool, Redis, the cache
work.py        money, background rounds, jobs, outbox, webhooks
objectives.py  service level objectives
unused.py      metrics that nothing asks for, and why
__main__.py    writes the files
"""
