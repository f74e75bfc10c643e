"""Drivers have a time since when they are unreachable; they get no offers meanwhile."""

from storage.postgres.migrate import run_sql

revision = "0015_unreachable"
down_revision: str | None = "0014_zone_rules"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0015_unreachable.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
