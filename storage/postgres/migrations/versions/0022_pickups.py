"""Orders keep their pick-ups, their numbers, and what they took from the stock."""

from storage.postgres.migrate import run_sql

revision = "0022_pickups"
down_revision: str | None = "0021_accounts"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0022_pickups.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
