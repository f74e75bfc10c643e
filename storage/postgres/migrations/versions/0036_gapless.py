"""What an endpoint of webhooks has passed over is written down.

Expand: a new column with a default; the functions take and give what they did.
"""

from storage.postgres.migrate import run_sql

revision = "0036_gapless"
down_revision: str | None = "0035_restorable"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0036_gapless.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
