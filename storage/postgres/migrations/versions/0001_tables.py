"""Tables."""

from storage.postgres.migrate import run_sql

revision = "0001_tables"
down_revision: str | None = None


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0001_tables.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
