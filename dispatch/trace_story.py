"""The story of a trace id: what one request has caused, in the order of time, from the database and from log lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from actors.values import frozen
from dispatch.domain import ids

# Bound of what is read of one table, and of log lines.
ENTRIES_MAX = 1_000
LINES_MAX = 10_000
_PREFIXES = {"order_id": ids.ORDER, "payment_id": ids.PAYMENT, "user_id": ids.USER, "store_id": ids.STORE}
_SUBJECTS = {"order": ids.ORDER, "payment": ids.PAYMENT, "stock": ids.PRODUCT}
# Of a log line, what an entry says already.
_HEAD = frozenset({"ts", "event", "instance", "trace_id", "level"})


class StoryQueries(Protocol):
    """Named queries that read."""

    async def rows(self, name: str, *args: Any) -> list[Any]: ...


@frozen
class StoryEntry:
    """Something that happened.

    Attributes:
        place: the table or the log's instance that tells it.
        what: its name there: of an event, of an outcome.
        facts: details, with public ids.
    """

    at: datetime
    place: str
    what: str
    facts: Mapping[str, Any] = field(hash=False)

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        stamp = self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"at": stamp, "where": self.place, "what": self.what, "facts": self.facts}


async def stored_entries(queries: StoryQueries, trace: str, orders: Sequence[int] = ()) -> list[StoryEntry]:
    """What the tables say of a trace. `orders` are further ones whose history is searched.

    Raises:
        StorageError: the database is away.
    """
    found = [row["order_id"] for row in await queries.rows("trace_orders", trace)]
    rows = await queries.rows("trace_entries", trace, [*found, *orders], ENTRIES_MAX)
    return [StoryEntry(row["at"], row["place"], row["what"], _public(row["facts"])) for row in rows]


def log_entries(lines: Iterable[bytes], trace: str) -> Iterator[StoryEntry]:
    """The log lines of a trace. Lines that are no JSON objects, or have no time, are passed over."""
    needle = trace.encode()
    for line in lines:
        if needle not in line:
            continue
        try:
            said = orjson.loads(line)
            if said["trace_id"] != trace:
                continue
            at = datetime.fromisoformat(said["ts"])
            entry = StoryEntry(at, str(said["instance"]), str(said["event"]), _facts(said))
        except (ValueError, TypeError, KeyError):
            continue
        if at.tzinfo is not None:
            yield entry


def in_order(*parts: Iterable[StoryEntry]) -> list[StoryEntry]:
    """All entries in the order of time; at the same time in the order in which they are given."""
    return sorted((entry for part in parts for entry in part), key=lambda entry: entry.at)


def _public(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a row with public ids."""
    shown: dict[str, Any] = {
        name: ids.public_id(_PREFIXES[name], value) if name in _PREFIXES else value
        for name, value in facts.items()
    }
    if "ref" in shown:
        subject = ids.public_id(_SUBJECTS[shown.pop("topic")], shown.pop("ref"))
        shown = {"subject": subject, **shown}
    return shown


def _facts(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in _HEAD and value is not None}
