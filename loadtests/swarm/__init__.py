"""Ten thousand sockets from one process, over asyncio's bare protocols: for loads that threads and greenlets
cannot carry on the machine that the server runs on.

    python -m loadtests.swarm idle|offers|storm|users|deaf [--sockets 10000] [--seconds 60] [--json report.json]

Every run starts a server of its own unless --url is given, and ends in one report with limits.

Map:
__main__.py          the command line: a scenario, its size, one report
idle.py              sockets that do nothing: connect rate, memory of each, the server's loop lag
offers.py            orders at a steady rate: from the decision to the offer on a driver's socket
storm.py             all connections cut at once, every phone back within half a minute, resumed from memory
users.py             drivers and customers at once, ramp and plateau
customers.py         customers with the think times of real apps
deaf.py              a client that never reads: its cost, and what others notice
phone.py             a driver's phone: one socket that resumes, and its commands; what phones share
drivers.py           drivers at work: accept, pick up, deliver
rest.py              callers with a kept-alive connection each, and orders at a steady rate
connecting.py        connecting many phones, going online, disconnecting
setup.py             server, zones, accounts, options
"""
