"""Delivery radius of stores, and the search for near stores."""

from storage.postgres.migrate import run_sql

revision = "0009_geo"
down_revision: str | None = "0008_catalogue"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0009_geo.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
