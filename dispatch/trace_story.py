"""The story of a trace id: what one request has caused, in the order of time, from the database and from log lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import orjson

from actors.values import frozen
from dispatch.domain import ids

# Bound of what is read of one table, and of log lines.
ENTRIES_MAX = 1_000
LINES_MAX = 10_000
# How far the clocks of a story's places may be from each other.
CLOCKS_APART = timedelta(milliseconds=100)
_PREFIXES = {
    "order_id": ids.ORDER, "payment_id": ids.PAYMENT, "user_id": ids.USER, "store_id": ids.STORE, "job_id": ids.JOB,
    "webhook_id": ids.WEBHOOK,
}  # fmt: skip
_SUBJECTS = {"order": ids.ORDER, "alert": ids.ORDER, "payment": ids.PAYMENT, "stock": ids.PRODUCT}
# Tables, and which step of the story their rows are; a notice is the step of its channel.
_STEPS = {
    "order_events": "history",
    "payments": "payment",
    "outbox": "outbox",
    "event_log": "event",
    "jobs": "job",
    "job_runs": "job",
    "webhook_attempts": "webhook",
}
# Lines of the instance that got the request or command; they are written when it is answered.
_ANSWERS = frozenset({"answered_request", "answered_command"})
# Of a log line, what an entry says already.
_HEAD = frozenset({"ts", "event", "instance", "trace_id", "level"})


class StoryQueries(Protocol):
    """Named queries that read."""

    async def rows(self, name: str, *args: Any) -> list[Any]: ...


@frozen
class StoryEntry:
    """Something that happened.

    Attributes:
        step: edge (the instance that got the request), owner (of the order), history, payment, outbox, event,
            job, mail, sms, webhook; log: any other line of a log.
        place: the table or the log's instance that tells it.
        what: its name there: of an event, of an outcome.
        facts: details, with public ids.
    """

    at: datetime
    step: str
    place: str
    what: str
    facts: Mapping[str, Any] = field(hash=False)

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        stamp = self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"at": stamp, "step": self.step, "where": self.place, "what": self.what, "facts": self.facts}


async def stored_entries(queries: StoryQueries, trace: str, orders: Sequence[int] = ()) -> list[StoryEntry]:
    """What the tables say of a trace. `orders` are further ones whose history is searched.

    Raises:
        StorageError: the database is away.
    """
    found = [row["order_id"] for row in await queries.rows("trace_orders", trace)]
    rows = await queries.rows("trace_entries", trace, [*found, *orders], ENTRIES_MAX)
    return [
        StoryEntry(row["at"], _step_of_row(row), row["place"], row["what"], _public(row["facts"]))
        for row in rows
    ]


def log_entries(lines: Iterable[bytes], trace: str) -> Iterator[StoryEntry]:
    """The log lines of a trace. Lines that are no JSON objects, or have no time, are passed over.

    A request is two entries, so that it stands before what it has caused: when it came, and its answer.
    """
    needle = trace.encode()
    for line in lines:
        if needle not in line:
            continue
        try:
            said = orjson.loads(line)
            if said["trace_id"] != trace:
                continue
            at = datetime.fromisoformat(said["ts"])
            entry = StoryEntry(
                at, _step_of_line(said), str(said["instance"]), str(said["event"]), _facts(said)
            )
            came = _coming(entry)
        except (ValueError, TypeError, KeyError, OverflowError):
            continue
        if at.tzinfo is not None:
            yield from came
            yield entry


def _coming(answer: StoryEntry) -> list[StoryEntry]:
    """When a request or a command came, by its answer and how long that took; nothing for any other line."""
    took_s = answer.facts.get("duration_s")
    if answer.what not in _ANSWERS or not isinstance(took_s, float):
        return []
    asked = {name: answer.facts[name] for name in ("method", "route", "command") if name in answer.facts}
    at = answer.at - timedelta(seconds=took_s)
    return [StoryEntry(at, answer.step, answer.place, answer.what.replace("answered", "got"), asked)]


def _step_of_row(row: Mapping[str, Any]) -> str:
    return str(row["facts"]["channel"]) if row["place"] == "notices" else _STEPS[row["place"]]


def _step_of_line(said: Mapping[str, Any]) -> str:
    if said["event"] in _ANSWERS:
        return "edge"
    if said["event"] == "changed_order":
        return "owner"
    if said["event"] == "sent_notice":
        return str(said["channel"])
    return "job" if "job_id" in said else "log"


def in_order(*parts: Iterable[StoryEntry]) -> list[StoryEntry]:
    """All entries in the order of time; at the same time in the order in which they are given.

    When a request came is reckoned from its answer by the clock of its instance. Where that lies a little behind what
    the database's clock says of the first effect, the request came at that time.
    """
    entries = sorted((entry for part in parts for entry in part), key=lambda entry: entry.at)
    came = next((n for n, entry in enumerate(entries) if entry.what.startswith("got_")), 0)
    if came and entries[came].at - entries[0].at <= CLOCKS_APART:
        entries.insert(0, replace(entries.pop(came), at=entries[0].at))
    return entries


def _public(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a row with public ids."""
    shown = _with_public_ids(facts)
    if "ref" in shown:
        subject = ids.public_id(_SUBJECTS[shown.pop("topic")], shown.pop("ref"))
        shown = {"subject": subject, **shown}
    return shown


def _with_public_ids(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: ids.public_id(_PREFIXES[name], value) if name in _PREFIXES and isinstance(value, int) else value
        for name, value in facts.items()
    }


def _facts(said: Mapping[str, Any]) -> dict[str, Any]:
    return _with_public_ids(
        {name: value for name, value in said.items() if name not in _HEAD and value is not None}
    )
