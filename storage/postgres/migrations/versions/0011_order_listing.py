"""Table of the columns by which orders are listed, written once per order."""

from storage.postgres.migrate import run_sql

revision = "0011_order_listing"
down_revision: str | None = "0010_creation"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0011_order_listing.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
