"""One server for many files. Each worker of pytest-xdist starts it once; its log is checked after each test.

Map:
conftest.py                the fixtures `server`, `token_forge`, `database_unchanged`, and the check of the log
versions/                  version 1 of the API beside version 2, on the same server
test_bad_bodies.py         malformed bodies
test_bad_mutants.py        valid bodies, spoilt in hundreds of ways
test_bad_headers.py        content types, encodings, credentials, traces, origins
test_bad_input.py          unknown routes, methods, ids and queries
test_bad_excess.py         members and parameters that are not known
test_bad_keys.py           idempotency keys
test_bad_tokens.py         forged and misused access tokens
test_bad_frames.py         handshakes and frames of the drivers' feed
test_jobs.py               background jobs, for operators
test_conditional.py        entity tags
test_reports.py            figures of days
test_pages.py              pages for browsers
test_lists.py              cursors, filters and sorts, while others write
test_transport_corpus.py   requests that are not HTTP
transport_vectors.py       their table
test_transport_headers.py  headers of every kind of answer
test_transport_limits.py   limits in number: members, items, parameters
test_transport_columns.py  values at their limits, through the server into Postgres
"""
