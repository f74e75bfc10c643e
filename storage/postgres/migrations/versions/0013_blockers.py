"""Function that finds the holder of a lock that blocks a batch of commits."""

from storage.postgres.migrate import run_sql

revision = "0013_blockers"
down_revision: str | None = "0012_slots"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0013_blockers.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
