"""Learned times: preparation by store and hour, and speeds by zone and hour; and a queue at the stores.

Expand: two columns, empty or with a default, three tables, and a view with more columns at its end. Orders that the
version before places get learned times, too.
"""

from storage.postgres.migrate import run_sql

revision = "0043_learned_times"
down_revision: str | None = "0042_terms"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0043_learned_times.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
