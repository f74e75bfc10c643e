"""Administrators are told of a webhook that was disabled; attempts of an event are found by its place.

Expand: a trigger and an index.
"""

from storage.postgres.migrate import run_sql

revision = "0034_disabled_told"
down_revision: str | None = "0033_last_step"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0034_disabled_told.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
