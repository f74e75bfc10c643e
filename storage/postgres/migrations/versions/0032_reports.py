"""Reports: limits of stocks, orders without a driver, figures of days.

Expand: new tables and functions, columns that may be empty, one more topic of the outbox.
"""

from storage.postgres.migrate import run_sql

revision = "0032_reports"
down_revision: str | None = "0031_job_control"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0032_reports.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
