"""Alembic's entry point: runs on the connection of storage/postgres/migrate.py."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None)
with context.begin_transaction():
    context.run_migrations()
