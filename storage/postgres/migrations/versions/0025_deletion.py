"""The deletion of an account also redacts stored answers and drivers' feeds."""

from storage.postgres.migrate import run_sql

revision = "0025_deletion"
down_revision: str | None = "0024_ledger"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0025_deletion.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
