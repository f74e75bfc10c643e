"""Commands of an operator, from the command line.

Map:
first_run.py          signing key, administrator and sample data of a new database
preflight.py          checks everything that a start needs, and changes nothing
database_commands.py  migrate, mint, verify
mint.py               users and tokens in bulk
reset_password.py     a new password for a user
rotate_key.py         a new signing key
"""
