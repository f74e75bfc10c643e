"""Batches read what they touch, whatever the statistics say.

Expand: no table changes, and the functions take and give what they did.
"""

from storage.postgres.migrate import run_sql

revision = "0040_bounded_loops"
down_revision: str | None = "0039_traces"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0040_bounded_loops.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
