"""What trips saved on a day, beside what no trips could exceed, in the figures of days.

Expand: three columns that may be NULL, and two functions.
"""

from storage.postgres.migrate import run_sql

revision = "0045_pooling_figures"
down_revision: str | None = "0044_plan_steps"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0045_pooling_figures.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
