"""A mall that moves, to be watched: people order, drive and lose their connection, over the public API alone.

`python -m loadtests.demo` starts a server of its own, shows the mall while it runs, and gives a verdict.

Map:
__main__.py     command line, Ctrl-C, exit code
world.py        places in metres, driving, and how much faster than ours this world runs
plan.py         everything that a seed decides: stores, people, the sequence of orders
site.py         builds what was planned: zone, stores, products, people with tokens
apart.py        a server that does not hear the Ctrl-C that is meant for the demo
hours.py        when the mall closes, when everybody goes home, waits that end then
ledger.py       what the people of the demo have seen: orders by state, times, news
positions.py    whether a driver's entries came without gap and repetition
handset.py      a driver's phone that can lose its connection
driver.py       drivers: offers, driving, breaks
customers.py    customers: they order and sometimes cancel
stage.py        one run: open, let it live, close, audit
audit.py        the ledger against the server's books: pure functions
books.py        reads those books, asks for every driver's position, fills in the report
picture.py      the numbers of a moment, and as one plain line
screen.py       the same as a live view of the terminal
"""
