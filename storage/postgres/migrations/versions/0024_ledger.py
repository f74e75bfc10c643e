"""Ledger of stocks, by which an audit checks them."""

from storage.postgres.migrate import run_sql

revision = "0024_ledger"
down_revision: str | None = "0023_orderable"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0024_ledger.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
