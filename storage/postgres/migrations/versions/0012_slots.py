"""A driver's free slot is found by one lookup."""

from storage.postgres.migrate import run_sql

revision = "0012_slots"
down_revision: str | None = "0011_order_listing"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0012_slots.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
