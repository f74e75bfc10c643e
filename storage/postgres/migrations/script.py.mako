"""${message}.

Expand: what the previous version does not notice while both run. (Or Contract: what no version that may still run uses.)
"""

from storage.postgres.migrate import run_sql

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("${up_revision}.sql")


def downgrade() -> None:
    """There is no way back but a backup: a revision may have thrown data away."""
    raise NotImplementedError
