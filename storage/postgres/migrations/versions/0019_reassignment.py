"""Operators hand an order over in one step, and end one for its driver."""

from storage.postgres.migrate import run_sql

revision = "0019_reassignment"
down_revision: str | None = "0018_email_keys"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0019_reassignment.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
