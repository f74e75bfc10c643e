"""Numbers of instances' lives."""

from storage.postgres.migrate import run_sql

revision = "0026_lives"
down_revision: str | None = "0025_deletion"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0026_lives.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
