"""Settings, logs, metrics. Imports no other package of this program.

Map:
settings.py          every setting, with its environment variable
setting_warnings.py  settings that are allowed but seldom meant
smtp_address.py      address of the mail server
sample_secrets.py    secrets of samples, refused or warned about
findings.py          result of a preflight check
cli.py               command line
errors.py            errors that end a command before it has begun
event_loop.py        runs a program on the event loop of the settings
version.py           version of the program
outages.py           one log line when a dependency is lost, one when it is back
log_sampling.py      sampling of log lines that clients can cause
logs.py              structlog behind a bounded buffer and a writer thread
metrics.py           every metric
deploy/              rules and alerts of Prometheus; nothing in it is imported by the server
"""
