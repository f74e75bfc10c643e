"""Postgres: the record. README.md says which statement does what.

Map:
database.py    one pool, named blocks, deadlines, slow-query log
queries.py     loads sql/*.sql into named blocks
lists.py       lists a page at a time: sql/lists/*.sql with the filters of a request
errors.py      which failures mean "not written" and which "nobody knows"
journal.py     the actors' Journal: claim, load, flush, due, read
placing.py     create_orders in batches, order ids in blocks
geo.py         which body the search around a place has
migrate.py     alembic on the async engine
handing.py     an embedded database is given to a role that is no superuser
looking.py     what a start needs of a database, looked at and not touched
audit.py       checks every invariant on one moment of a database
schema.sql     the schema as it is now: tables, indexes, views, rights
functions/     the functions and triggers as they are now
migrations/    how databases get there: revisions and their SQL files, history
sql/           named blocks
"""
