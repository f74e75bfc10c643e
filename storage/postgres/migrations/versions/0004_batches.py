"""flush() for whole batches."""

from storage.postgres.migrate import run_sql

revision = "0004_batches"
down_revision: str | None = "0003_role"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0004_batches.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
