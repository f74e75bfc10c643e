"""Inputs of the planner's steps, kept for a while, so that a decision can be made again.

Expand: one new table, which the version before does not know.
"""

from storage.postgres.migrate import run_sql

revision = "0044_plan_steps"
down_revision: str | None = "0043_learned_times"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0044_plan_steps.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
