"""Indexes of the lists."""

from storage.postgres.migrate import run_sql

revision = "0008_catalogue"
down_revision: str | None = "0007_sessions"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0008_catalogue.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
