"""The services over tables, without HTTP, against a real Postgres.

Map:
conftest.py           a database, and the services over it
world.py              people, stores and products that the tests need
test_accounts.py      registration, passwords, reset links
test_sessions.py      sessions: open, refresh, end
test_order_shares.py  share links: made, found by their secret alone, bounded, ended
test_users.py         users and drivers as admins change them
test_catalogue.py     zones, stores, products
test_trace_story.py   what the tables say of a trace id
test_provisioning.py  first rows, sample data, users in bulk
"""
