"""The secret of the cluster."""

from storage.postgres.migrate import run_sql

revision = "0005_cluster"
down_revision: str | None = "0004_batches"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0005_cluster.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
