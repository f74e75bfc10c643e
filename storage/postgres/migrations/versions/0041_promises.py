"""Promises: when an order is expected and promised at the door, reckoned at placing from what deliveries took.

Expand: two columns that may be NULL, one table, and the view has two more columns at its end.
"""

from storage.postgres.migrate import run_sql

revision = "0041_promises"
down_revision: str | None = "0040_bounded_loops"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0041_promises.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
