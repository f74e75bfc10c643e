"""Tools that put a running server under load, break its parts, and compare what users were told with the record.

Load goes over the public API and the drivers' feed, as users' apps do. Preparation and measurement use more than that;
README.md says what.

Map:
kit/       what tools share: clients, servers in processes, accounts, metrics, reports, the way a tool runs
faults/    kills and restarts under load, races, idempotency keys; the histories and the checker
chaos/     a cluster under faults of every kind, judged by the same checker
drill/     faults that lead to alerts: how soon somebody is told, and how soon all is clear
fleet/     several instances as one service: takeover, rolling restart, scaling, outages of Redis, forwarding
swarm/     ten thousand sockets and users in one asyncio process
rush/      locust, with named profiles
slow/      a good client beside a thousand slow ones
bench/     this design beside others on one Postgres; costs of a change, of resident actors, of the search for stores
replay/    a real delivery day, replayed
score/     the planner on real delivery days in virtual time
demo/      a mall in the terminal, with a verdict at its end
"""
