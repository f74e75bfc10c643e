"""A live mall in the terminal: users order, drive and lose their connection, over the public API and the feed.

`python -m loadtests.demo` starts a server of its own, shows the mall while it runs, and gives a verdict.

Map:
__main__.py     command line, Ctrl-C, exit code
world.py        places in metres, driving, and how much faster than ours this world runs
plan.py         everything that a seed decides: stores, users, the sequence of orders
people.py       names of the people, and the outline of the town
setup.py        builds what was planned: zone, stores, products, accounts with tokens
run_clock.py    the phases of a run, and waits that end with them
ledger.py       what the users of the demo have seen: orders by state, times, news
flaky_phone.py  a driver's phone that can lose its connection
driver.py       drivers: offers, driving, breaks
customers.py    customers: they order and sometimes cancel
run.py          one run: open, run, close, audit
audit.py        the ledger against the server's orders: pure functions
audit_reads.py  reads the server's orders, asks for every driver's position, fills in the report
summary.py      the numbers of a moment, and as one plain line
screen.py       the same as a live view of the terminal
"""
