"""Zones whose trips a planner decides, and the end of a driver's shift.

Expand: new columns that may be empty. A version that does not know them offers orders to the nearest drivers.
"""

from storage.postgres.migrate import run_sql

revision = "0037_planned"
down_revision: str | None = "0036_gapless"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0037_planned.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
