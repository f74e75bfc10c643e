"""What a load tester expects: named profiles played by locust, one report at the end.

`python -m loadtests.rush --profile smoke` needs `.venv-load` (requirements.txt is what goes in). The runner
sets a mall up, writes a play (who takes part, with tokens), starts locust on loadtests/locustfile.py as a
child process, and turns what it has measured into a report with limits. The child shares with us only the
modules marked pure: they import nothing but orjson.

Map:
__main__.py   the runner: server, mall, locust, report, exit code
stage.py      sets the mall up and mints its people
profiles.py   pure: the named profiles, their shape and their limits, in one table
habits.py     pure: how long people think, and what they do by chance
play.py       pure: the file that the runner hands to locust
take.py       pure: the file that locust hands back: raw measures
outcome.py    pure: the report and its limits, from profile and measures
position.py   pure: checks a driver's feed: no gap, no repeat, the same again when read again
shift.py      pure: what a driver does next: offers, pick-ups, deliveries, with human reaction times
studio.py     in locust: one run's measures, clock and cast, shared by all its users
line.py       in locust: a driver's WebSocket under gevent
driver.py     in locust: a driver at work
customer.py   in locust: a customer with an app
"""
