"""What a load tester expects: named profiles run by locust, one report at the end.

`python -m loadtests.rush --profile smoke` needs `.venv-load` (requirements.txt is what goes in). The runner
sets a mall up, writes a plan (profile and accounts with tokens), starts locust on locustfile.py as a
child process, and turns what it has measured into a report with limits. The child shares with us only the
modules marked pure: they import nothing but orjson.

Map:
__main__.py   the runner: server, mall, locust, report, exit code
setup.py      sets the mall up and mints its users
profiles.py   pure: the named profiles, their shape and their limits, in one table
think_times.py   pure: how long users think, and what they do by chance
plan.py       pure: the file that the runner hands to locust
results.py    pure: the file that locust hands back: raw measures
outcome.py    pure: the report and its limits, from profile and measures
reread_check.py   pure: whether a driver's log reads the same again
driver_behaviour.py   pure: what a driver does next: offers, pick-ups, deliveries, with human reaction times
locustfile.py   in locust: what locust loads
run_state.py  in locust: one run's measures, clock and accounts, shared by all its users
gevent_socket.py   in locust: a driver's WebSocket under gevent
driver.py     in locust: a driver at work
customer.py   in locust: a customer with an app
"""
