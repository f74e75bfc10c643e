"""Postgres: the durable store. README.md says which statement does what.

Map:
database.py            one pool, named statements, deadlines, slow-query log
plans.py               plans of slow queries, without values
queries.py             loads sql/*.sql
list_queries.py        pages of lists: sql/lists/*.sql with the filters of a request
errors.py              failures that mean "not written", and those that mean "unknown"
journal.py             the actors' Journal: claim, load, flush, due, read
order_creation.py      create_orders in batches, order ids in blocks
notifications.py       LISTEN on a connection of its own
geo.py                 implementation of the search around a place
migrate.py             alembic on the async engine
ownership_transfer.py  gives an embedded database to a role that is no superuser
preflight.py           checks what a start needs of a database, and changes nothing
restoring.py           prepares a database that was restored from a backup
audit.py               checks every invariant in one snapshot of a database
schema.sql             the schema as it is now: tables, indexes, views, rights
functions/             the functions and triggers as they are now
migrations/            how databases get there: revisions and their SQL files, history
sql/                   named statements
"""
