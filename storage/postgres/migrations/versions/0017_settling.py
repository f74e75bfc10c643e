"""Payments that are settled, stuck, or refunded in parts."""

from storage.postgres.migrate import run_sql

revision = "0017_settling"
down_revision: str | None = "0016_clock"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0017_settling.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
