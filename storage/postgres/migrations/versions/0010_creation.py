"""Orders are created in batches by a few statements."""

from storage.postgres.migrate import run_sql

revision = "0010_creation"
down_revision: str | None = "0009_geo"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0010_creation.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
