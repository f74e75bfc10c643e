"""Credentials that each instance polls to verify access tokens: signing keys and revocations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dispatch.ports import QueryPool, Row


class RotationPending(Exception):
    """A new key is published already and does not sign yet. Nothing was changed."""

    def __init__(self, kid: str, signs_at: datetime) -> None:
        super().__init__(kid)
        self.kid = kid
        self.signs_at = signs_at


class Credentials:
    """Signing keys and revocations, shared by all instances of a database."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def signing_keys(self, make: Callable[[], tuple[str, str]]) -> list[Row]:
        """Keys that verify, newest first.

        If there is none, `make` creates the id and PEM of one. Of two first instances, one inserts its own.
        """
        rows = await self._database.rows("signing_keys")
        if not rows:
            async with self._database.transaction() as transaction:
                await transaction.rows("signing_keys_lock")
                await transaction.rows("signing_key_insert", *make())
            rows = await self._database.rows("signing_keys")
        return rows

    async def rotate(self, kid: str, pem: str, *, lead_s: float, lives_s: float, at_once: bool) -> datetime:
        """Publish a key that signs after `lead_s`. The other keys verify for `lives_s` after that.

        With `at_once` it replaces a rotation under way, and minted tokens of the other keys end too.

        Returns:
            The time from which the key signs.

        Raises:
            RotationPending: the last rotation is still under way.
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
        """Delete keys that no longer verify."""
        await self._database.rows("signing_keys_trim")

    async def revocations(self, within_s: float) -> Row:
        """Revocations: `sessions` that ended within this time, and `users` that are banned or deleted."""
        row: Row = (await self._database.rows("revocations", within_s))[0]
        return row
