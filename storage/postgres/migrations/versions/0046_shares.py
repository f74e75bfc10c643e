"""Share links of orders.

Expand: a table, two functions, and one that is replaced also deletes from the new table.
"""

from storage.postgres.migrate import run_sql

revision = "0046_shares"
down_revision: str | None = "0045_pooling_figures"


def upgrade() -> None:
    """Run the revision's SQL file."""
    run_sql("0046_shares.sql")


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
