"""The normal form of an e-mail address is stored beside the address."""

from storage.email_addresses import normal_form
from storage.postgres.migrate import Connection, run, run_sql

revision = "0018_email_keys"
down_revision: str | None = "0017_settling"

_REST = "SELECT id, email FROM users WHERE email_key IS NULL ORDER BY id"
_TAKEN = "SELECT email_key FROM users WHERE email_key = ANY ($1::text[])"


def upgrade() -> None:
    """Run the revision's SQL file, and fill in what only the program can compute."""
    run_sql("0018_email_keys.sql")
    run(_fill)


async def _fill(connection: Connection) -> None:
    """Store the normal form of each address.

    Of two accounts with the same normal form, the older keeps it. The other one has its number only, until an admin
    gives it another address.
    """
    found = await connection.fetch(_REST)
    forms = {row["id"]: normal_form(row["email"]) for row in found}
    taken = {row["email_key"] for row in await connection.fetch(_TAKEN, list(forms.values()))}
    keys = {}
    for number, form in forms.items():
        keys[number] = f"{form} usr_{number}" if form in taken else form  # no address has a space in it
        taken.add(form)
    await connection.executemany("UPDATE users SET email_key = $2 WHERE id = $1", list(keys.items()))
    await connection.execute(
        "ALTER TABLE users ALTER email_key SET NOT NULL; CREATE UNIQUE INDEX users_email_key ON users (email_key);"
    )


def downgrade() -> None:
    """There is no way back but a backup."""
    raise NotImplementedError
