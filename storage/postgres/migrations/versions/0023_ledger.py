"""What a stock was meant to be."""

from storage.postgres.migrate import run_sql

revision = "0023_ledger"
down_revision: str | None = "0022_pickups"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0023_ledger.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
