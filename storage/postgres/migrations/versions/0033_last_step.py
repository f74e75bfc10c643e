"""Jobs: a death counts for the job that was at its step.

Expand: functions of jobs. The one that is dropped came with 0028_jobs, which was not released without this revision.
"""

from storage.postgres.migrate import run_sql

revision = "0033_last_step"
down_revision: str | None = "0032_reports"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0033_last_step.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
