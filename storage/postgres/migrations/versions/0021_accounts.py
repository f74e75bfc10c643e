"""Accounts: reset tokens, changes of address and role, deletion; the last admin stays."""

from storage.postgres.migrate import run_sql

revision = "0021_accounts"
down_revision: str | None = "0020_audit"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0021_accounts.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
