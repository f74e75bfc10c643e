"""Refresh families, rotation of signing keys, and sessions that end with a change of role."""

from storage.postgres.migrate import run_sql

revision = "0007_sessions"
down_revision: str | None = "0006_payments"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0007_sessions.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
