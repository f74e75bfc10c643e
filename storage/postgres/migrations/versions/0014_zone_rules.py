"""Settings of zones for offers: greatest distance, pauses and durations."""

from storage.postgres.migrate import run_sql

revision = "0014_zone_rules"
down_revision: str | None = "0013_blockers"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0014_zone_rules.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
