"""A trigger that a backup gives back as it was.

Expand: the condition of a trigger is written in another way, and says the same.
"""

from storage.postgres.migrate import run_sql

revision = "0035_restorable"
down_revision: str | None = "0034_disabled_told"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0035_restorable.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
