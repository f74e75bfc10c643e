"""A job that no worker has is in no attempt, and a notice whose job has died is dead.

Expand: a trigger; the functions take and give what they did.
"""

from storage.postgres.migrate import run_sql

revision = "0038_ended_jobs"
down_revision: str | None = "0037_planned"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0038_ended_jobs.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
