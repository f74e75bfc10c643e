"""Terms: what a customer asks for beside the goods, and a zone's rules of deliveries.

Expand: two columns that may be NULL, three functions, and two views have one more column each at their end.
"""

from storage.postgres.migrate import run_sql

revision = "0042_terms"
down_revision: str | None = "0041_promises"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0042_terms.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
