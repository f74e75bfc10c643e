"""Commands of the command line for operators.

Map:
first_run.py          signing key, administrator and sample data of a new database
preflight.py          checks of everything that a start needs, without changes
jobs.py               looks at background jobs and acts on them
database_commands.py  migrate, mint, verify, restored
mint.py               users and tokens in bulk
reset_password.py     a new password for a user
trace.py              the story of a trace id, from the database and from logs
explain.py            why an order was offered to whom
rotate_key.py         a new signing key
"""
