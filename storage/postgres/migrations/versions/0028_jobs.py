"""Background work: outbox, log of events, jobs.

Expand: new tables and functions. The table that is dropped was never written or read.
"""

from storage.postgres.migrate import run_sql

revision = "0028_jobs"
down_revision: str | None = "0027_driver_pay"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0028_jobs.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
