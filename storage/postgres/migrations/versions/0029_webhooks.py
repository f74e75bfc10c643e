"""Webhooks: endpoints with a cursor over the log of events, their attempts, dead letters and replays.

Expand: new tables and functions.
"""

from storage.postgres.migrate import run_sql

revision = "0029_webhooks"
down_revision: str | None = "0028_jobs"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0029_webhooks.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
