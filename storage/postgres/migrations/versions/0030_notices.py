"""Notices by mail and SMS, with contacts and preferences.

Expand: new tables, functions, and columns with defaults.
"""

from storage.postgres.migrate import run_sql

revision = "0030_notices"
down_revision: str | None = "0029_webhooks"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0030_notices.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
