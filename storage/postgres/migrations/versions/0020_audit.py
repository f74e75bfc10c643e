"""Record of the schema, by which changes by hand are found."""

from storage.postgres.migrate import run_sql

revision = "0020_audit"
down_revision: str | None = "0019_reassignment"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0020_audit.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
