"""Role of the server."""

from storage.postgres.migrate import run_sql

revision = "0003_role"
down_revision: str | None = "0002_functions"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0003_role.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
