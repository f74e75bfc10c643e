"""Two instances on one database, with a Redis of their own. Each file starts them; each test checks their logs.

Map:
conftest.py            the fixture `cluster`, and the check of the logs
cluster.py             TwoInstances: clients of both, new people, commands of run.py
test_login.py          logging in, guessing
test_refresh.py        refresh tokens
test_cut_off.py        sessions that end, on both instances
test_accounts_care.py  lost passwords, changed roles, deletion
test_tracing.py        one trace over five services, by real OTLP; spans of failures; whose a slow query is
test_live.py           an operator's socket
test_trace.py          one trace id from a request to its jobs, its mail and its webhook, with workers
test_rotation.py       a new signing key
matrix.py              the access matrix: the status of every operation for each caller
matrix_calls.py        calls every operation as each caller
test_matrix.py         the calls get what the matrix says
test_swapped.py        ids and keys of somebody else
"""
