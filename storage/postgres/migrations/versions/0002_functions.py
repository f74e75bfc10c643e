"""Functions."""

from storage.postgres.migrate import run_sql

revision = "0002_functions"
down_revision: str | None = "0001_tables"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0002_functions.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
