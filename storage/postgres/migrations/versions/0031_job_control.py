"""What a person does to jobs, and who it was.

Expand: new tables and functions.
"""

from storage.postgres.migrate import run_sql

revision = "0031_job_control"
down_revision: str | None = "0030_notices"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0031_job_control.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
