"""Key rotation: a new signing key for the cluster, published at once, and used when every cache contains it.

Services that check our tokens may cache the public keys for five minutes, so a key signs no sooner than twice that
after its publication; the previous one verifies until its last token has expired. Instances read the keys every
second, so nothing is restarted and no request fails.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from actors.values import frozen
from api.auth.access_tokens import ACCESS_S, make_signing_key
from config.settings import Settings
from dispatch.credentials import Credentials, RotationPending
from storage.postgres.database import COMMAND_CONNECT_S, Database, open_database
from storage.servers import reach_servers

# Life of the last token, with a margin for clocks.
RETIRE_S = ACCESS_S + 30
# Delay for a replacement of a leaked key: all instances have read the new key by then.
AT_ONCE_S = 5.0


class RotationError(Exception):
    """A new key already waits to sign."""


@frozen
class Rotated:
    """The new key, and the time from which it signs."""

    kid: str
    signs_at: datetime


async def rotate(database: Database, lead_s: float, *, at_once: bool = False) -> Rotated:
    """Make a key that signs after `lead_s` seconds.

    With `at_once`, for a leaked key, the new one signs after AT_ONCE_S, and every token of another key becomes invalid
    then; users refresh or log in.

    Raises:
        RotationError: the last rotation is not complete; `at_once` overrides it.
    """
    kid, pem = make_signing_key()
    lead_s, lives_s = (AT_ONCE_S, 0.0) if at_once else (lead_s, float(RETIRE_S))
    try:
        signs_at = await Credentials(database).rotate(
            kid, pem, lead_s=lead_s, lives_s=lives_s, at_once=at_once
        )
    except RotationPending as pending:
        when = pending.signs_at.astimezone(UTC)
        raise RotationError(
            f"key {pending.kid} is published already and signs from {when:%F %T} UTC on"
        ) from None
    return Rotated(kid, signs_at)


def command_rotate_key(settings: Settings, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Rotate the key of a cluster, running or not, and print when the new one signs; returns the exit code."""

    async def work(url: str) -> Rotated:
        async with open_database(url, size_max=1, connect_s=COMMAND_CONNECT_S) as database:
            return await rotate(database, settings.key_lead_s, at_once=options.now)

    with reach_servers(settings) as at:
        try:
            done = asyncio.run(work(at.database_url))
        except RotationError as error:
            say(f"Not rotated: {error}")
            return 1
    say(f"key {done.kid} is published; it signs from {done.signs_at.astimezone(UTC):%F %T} UTC on")
    return 0
