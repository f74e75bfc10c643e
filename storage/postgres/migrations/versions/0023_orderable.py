"""Products of a closed store say that they cannot be ordered; a deleted account leaves no contact."""

from storage.postgres.migrate import run_sql

revision = "0023_orderable"
down_revision: str | None = "0022_pickups"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0023_orderable.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
