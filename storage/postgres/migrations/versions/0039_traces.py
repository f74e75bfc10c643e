"""Jobs are found by the id of a trace that has a span behind it.

Expand: no table changes, and the function takes and gives what it did. The version before writes no such traces.
"""

from storage.postgres.migrate import run_sql

revision = "0039_traces"
down_revision: str | None = "0038_ended_jobs"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0039_traces.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
