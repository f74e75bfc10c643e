"""Ten thousand sockets from one process, over asyncio's bare protocols: for loads that threads and greenlets
cannot carry on the machine that the server runs on.

    python -m loadtests.swarm idle|offers|storm|users|deaf [--sockets 10000] [--seconds 60] [--json report.json]

Every run starts a server of its own unless --url is given, and ends in one report with limits.

Map:
__main__.py          the command line: a scenario, its size, one report
idle.py              sockets that do nothing: connect rate, memory of each, the server's loop lag
offers.py            orders at a steady rate: from the decision to the offer on a driver's socket
storm.py             all lines cut at once, everybody back within half a minute, resumed from memory
users.py            drivers and customers at once, ramp and plateau
people.py            customers with the think times of real apps
deaf.py              a client that never reads: its cost, and what others notice
line.py              a driver's phone: one socket that resumes, and its commands; the crew is what phones share
couriers.py          a crew that works: accept, pick up, deliver
rest.py              callers with a kept-alive connection each, and orders at a steady rate
opening.py           opening many lines, going online, hanging up
position.py          a place in a driver's log, and what continues it
stage.py             server, zones, people, options
scrape.py            the server's /metrics as numbers: growth and quantiles
gauges.py            memory and CPU of processes, lag of the generator's own loop
"""
