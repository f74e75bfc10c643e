"""Payments."""

from storage.postgres.migrate import run_sql

revision = "0006_payments"
down_revision: str | None = "0005_cluster"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0006_payments.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
