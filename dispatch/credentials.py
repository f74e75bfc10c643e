"""What every instance looks at again and again to judge access tokens: signing keys, and what was revoked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dispatch.ports import QueryPool, Row


class RotationPending(Exception):
    """A key waits to sign already. Nothing was changed."""

    def __init__(self, kid: str, signs_at: datetime) -> None:
        super().__init__(kid)
        self.kid = kid
        self.signs_at = signs_at


class Credentials:
    """Signing keys and revocations of all instances of this database."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def signing_keys(self, make: Callable[[], tuple[str, str]]) -> list[Row]:
        """The keys that verify, the newest first.

        Where there is none yet, `make` draws the id and the PEM of one: of two first instances one inserts its own.
        """
        rows = await self._database.rows("signing_keys")
        if not rows:
            async with self._database.transaction() as transaction:
                await transaction.rows("signing_keys_lock")
                await transaction.rows("signing_key_insert", *make())
            rows = await self._database.rows("signing_keys")
        return rows

    async def rotate(self, kid: str, pem: str, *, lead_s: float, lives_s: float, at_once: bool) -> datetime:
        """Publish a key that signs after `lead_s`; the others verify for `lives_s` after that.

        With `at_once` it overtakes a rotation that is not over, and minted tokens of the others end, too.

        Returns:
            When the key signs.

        Raises:
            RotationPending: the last rotation is not over.
        """
        async with self._database.transaction() as transaction:
            await transaction.rows("signing_keys_lock")
            pending = await transaction.row("signing_key_pending")
            if pending is not None and not at_once:
                raise RotationPending(pending["kid"], pending["signs_at"])
            made = await transaction.row("signing_key_add", kid, pem, lead_s)
            signs_at: datetime = made["signs_at"]
            await transaction.rows("signing_keys_retire", kid, signs_at, lives_s, at_once)
        return signs_at

    async def trim(self) -> None:
        """Delete the keys that verify nothing any more."""
        await self._database.rows("signing_keys_trim")

    async def revocations(self, within_s: float) -> Row:
        """`sessions` that have ended within this time, and `users` that are shut out."""
        row: Row = (await self._database.rows("revocations", within_s))[0]
        return row
