"""Administration: endpoints as admins create, change, enable and replay them; and the log as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from actors.values import frozen
from dispatch.errors import NoSecretsKey, NothingToReplay, TooManyWebhooks, UnknownFilter
from dispatch.ports import QueryPool, Row
from storage.postgres.list_queries import After

ENDPOINTS_MAX = 1000
REPLAYS_OPEN_MAX = 10
# How long the secret before signs along.
OVERLAP_S = 24 * 3600
# Positions that one page of the log looks through.
PAGE_WINDOW = 10_000


class Seal(Protocol):
    """Encrypts secrets of endpoints at rest; api/outbound/sealing.py implements it."""

    def seal(self, endpoint: int, secret: bytes) -> bytes: ...


@frozen
class Owner:
    """Who owns an endpoint: an admin or a store."""

    user_id: int | None = None
    store_id: int | None = None


@frozen
class EventsPage:
    """A part of the log. `reached`: where the next page begins; all up to there was looked at."""

    rows: list[Any]
    reached: int
    log_begin: int
    log_end: int


class Webhooks:
    """Endpoints of webhooks.

    Args:
        seal: None without a key: then no endpoint can be made, and no secret replaced.
    """

    def __init__(self, database: QueryPool, seal: Seal | None) -> None:
        self._database = database
        self._seal = seal

    async def endpoint(self, number: int) -> Row | None:
        """An endpoint with its state, without its secrets."""
        row: Row | None = await self._database.row("webhook_get", number)
        return row

    async def endpoints(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of endpoints. Filters: owner_store_id, disabled."""
        return await self._database.page("webhook_list", filters, sort, after, limit)

    async def attempts(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of attempts, the newest first. Filters: endpoint_id, pos, failed."""
        return await self._database.page("webhook_attempt_list", filters, sort, after, limit)

    async def dead_letters(
        self, filters: Mapping[str, Any], sort: str, after: After | None, limit: int
    ) -> list[Any]:
        """A page of events that an endpoint has refused for good. Filter: endpoint_id."""
        return await self._database.page("webhook_dead_letter_list", filters, sort, after, limit)

    async def add(self, owner: Owner, secret: bytes, wanted: Mapping[str, Any]) -> Row:
        """Create an endpoint, which gets the events from now on.

        Raises:
            NoSecretsKey, TooManyWebhooks, UnknownFilter: see dispatch/errors.py.
        """
        if self._seal is None:
            raise NoSecretsKey
        await self._check_filters(wanted)
        number: int = await self._database.value("webhook_next_id")
        values = {**wanted, "owner_user_id": owner.user_id, "owner_store_id": owner.store_id}
        sealed = self._seal.seal(number, secret)
        if await self._database.value("webhook_create", number, sealed, values, ENDPOINTS_MAX) is None:
            raise TooManyWebhooks
        row: Row = await self._database.row("webhook_get", number)
        return row

    async def change(self, number: int, tags: Sequence[str] | None, changes: Mapping[str, Any]) -> Row | None:
        """Change an endpoint in one of the versions `tags`; see Catalogue. `disabled: True` stops it.

        Raises:
            UnknownFilter: see dispatch/errors.py.
        """
        await self._check_filters(changes)
        if await self._database.value("webhook_change", number, tags, dict(changes)) is None:
            return None
        return await self.endpoint(number)

    async def remove(self, number: int, tags: Sequence[str] | None) -> bool:
        """Delete an endpoint in one of the versions `tags`. False if there is none."""
        return await self._database.value("webhook_delete", number, tags) is not None

    async def replace_secret(self, number: int, secret: bytes) -> Row | None:
        """Give an endpoint another secret; the one before signs along for OVERLAP_S.

        Raises:
            NoSecretsKey: see dispatch/errors.py.
        """
        if self._seal is None:
            raise NoSecretsKey
        sealed = self._seal.seal(number, secret)
        if await self._database.value("webhook_rotate", number, sealed, OVERLAP_S) is None:
            return None
        return await self.endpoint(number)

    async def enable(self, number: int, *, from_now: bool) -> Row | None:
        """Enable an endpoint from its cursor or from now on; one that is enabled is tried at once."""
        if await self._database.value("webhook_enable", number, from_now) is None:
            return None
        return await self.endpoint(number)

    async def ping(self, number: int, ping: str) -> str | None:
        """Have a test event sent. Returns its id, perhaps that of one that waits already."""
        found: str | None = await self._database.value("webhook_ping", number, ping)
        return found

    async def replay(
        self,
        number: int,
        by: int,
        *,
        from_pos: int | None = None,
        to_pos: int | None = None,
        since: datetime | None = None,
        types: Sequence[str] = (),
    ) -> Mapping[str, Any] | None:
        """Have a part of the log sent again, beside the cursor. Returns the replay; None without such an endpoint.

        Raises:
            TooManyWebhooks, NothingToReplay: see dispatch/errors.py.
        """
        wanted = {"from_pos": from_pos, "to_pos": to_pos, "since": since, "types": list(types), "by_id": by}
        made: Mapping[str, Any] = await self._database.value(
            "webhook_replay", number, wanted, REPLAYS_OPEN_MAX
        )
        if made["code"] == "too_many":
            raise TooManyWebhooks
        if made["code"] == "nothing":
            raise NothingToReplay
        return None if made["code"] == "not_found" else made

    async def retry_dead_letter(self, number: int, by: int, pos: int) -> Mapping[str, Any] | None:
        """Have a dead letter sent again, by a replay of one event. None without such an endpoint.

        Raises:
            TooManyWebhooks, NothingToReplay: see dispatch/errors.py.
        """
        if await self._database.value("webhook_dead_letter", number, pos) is None:
            raise NothingToReplay
        return await self.replay(number, by, from_pos=pos, to_pos=pos)

    async def events(self, after: int, types: Sequence[str], limit: int) -> EventsPage:
        """A part of the log after a position, of these types or of all."""
        rows = await self._database.rows("events_page", after, list(types), limit, PAGE_WINDOW)
        log_begin, log_end = rows[0]["log_begin"], rows[0]["log_end"]
        found = [row for row in rows if row["pos"] is not None]
        looked = max(after, min(after + PAGE_WINDOW, log_end))
        reached = found[-1]["pos"] if len(found) == limit else looked
        return EventsPage(found, reached, log_begin, log_end)

    async def _check_filters(self, wanted: Mapping[str, Any]) -> None:
        zones, stores = wanted.get("zone_ids") or (), wanted.get("store_ids") or ()
        if not zones and not stores:
            return
        row = await self._database.row("webhook_unknown_filters", list(zones), list(stores))
        for name in ("zone_ids", "store_ids"):
            for number in row[name]:
                raise UnknownFilter(name, number)
