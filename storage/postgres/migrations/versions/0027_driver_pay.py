"""Zones have a driver's pay for a delivery, and orders keep it."""

from storage.postgres.migrate import run_sql

revision = "0027_driver_pay"
down_revision: str | None = "0026_lives"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0027_driver_pay.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
