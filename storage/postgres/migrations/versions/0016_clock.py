"""Payments that a clock ahead has put off for too long become due."""

from storage.postgres.migrate import run_sql

revision = "0016_clock"
down_revision: str | None = "0015_unreachable"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0016_clock.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
