"""Tools that use a running server as its users do: over its public API and feeds alone.

Map:
client.py            a small client: REST, and a phone that resumes
phone.py             a driver's phone for the terminal
server.py            a server of its own for a test or a tool: real processes in a folder
verdict.py           how a load test ends: tallies, limits, one report
usage.py             what processes cost, from /proc
resident.py          what many actors in memory cost
wire.py              HTTP and WebSocket on bare protocols, for load generators
bench/               this design beside others, on one Postgres
demo/                a mall that moves, to be watched in the terminal, with a verdict at its end
geo/                 the search around a place, with and without PostGIS
fleet/               several instances as one: kills, restarts, growth, outages of Redis, races
rush/                locust, with named profiles
slow/                a good client beside a thousand sockets that dawdle
swarm/               ten thousand sockets and users, in one asyncio process
locustfile.py        what locust runs
scene.py             a mall to test in: zones with a store and products, people with tokens
race.py              many drivers for one order, one driver for many
chaos/               many instances under faults of every kind, and whether each promise held
keyed.py             orders and payments under keys, while everything is killed
gateway.py           the sandbox payment gateway as a process
crash.py             kills the server, restarts Postgres, and checks what was promised
crowd.py, courier.py   the people of the crash test: customers, and drivers who lose their line
testimony.py         what was said and what is recorded, as plain data
record.py            reads the record out of the database, as of one moment
history.py           whether both agree: pure functions
replay.py            replays a real delivery day
replay_day.py        its files, places, rules and clock
replay_mall.py       its mall, built, operated and audited over the API
replay_people.py     its people, with tokens that stay good
replay_courier.py    its couriers: they accept, drive, wait, pick up and drop off by the rules
replay_line.py       a phone's line that is kept up
replay_rest.py       requests that wait for their turn
replay_record.py     what happens, in minutes, and what went wrong
replay_progress.py   how far it has come
replay_report.py     its measures, the report, and the solution's three files
replay_check.py      an independent check of those files against the rules
"""
