"""`run.py trace`: the story of a trace id, from the database and from log files."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import orjson

from config.settings import Settings
from dispatch.trace_story import LINES_MAX, StoryEntry, in_order, log_entries, stored_entries
from storage.postgres.database import COMMAND_CONNECT_S, open_database
from storage.servers import reach_servers

NOTHING, UNREADABLE = 1, 2


def command_trace(settings: Settings, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Print the story; 0 when there is one, 1 when nothing is known of this id, 2 when a log cannot be read."""
    lines: list[StoryEntry] = []
    for path in options.logs:
        try:
            lines += read_log(path, options.trace)
        except OSError as error:
            say(f"Cannot read the log {path}: {error.strerror}")
            return UNREADABLE
    with reach_servers(settings) as at:
        entries = in_order(asyncio.run(_stored(at.database_url, options.trace, options.order)), lines)
    if options.json:
        shown = [entry.shown() for entry in entries]
        say(orjson.dumps({"trace_id": options.trace, "entries": shown}, default=str).decode())
    else:
        say("\n".join(table(entries)) or f"Nothing is known of {options.trace}.")
    return 0 if entries else NOTHING


def read_log(path: Path, trace: str) -> list[StoryEntry]:
    """The first lines of a log file that have this trace id.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return list(islice(log_entries(file, trace), LINES_MAX))


async def _stored(database_url: str, trace: str, orders: Sequence[int]) -> list[StoryEntry]:
    async with open_database(database_url, size_max=1, connect_s=COMMAND_CONNECT_S) as database:
        return await stored_entries(database, trace, orders)


def table(entries: Sequence[StoryEntry]) -> list[str]:
    """A line for each entry: time, step, where, what, details."""
    rows = [entry.shown() for entry in entries]
    names = ("at", "step", "where", "what")
    widths = {name: max((len(row[name]) for row in rows), default=0) for name in names}
    return [
        "  ".join([*(row[name].ljust(widths[name]) for name in names), _details(row["facts"])]).rstrip()
        for row in rows
    ]


def _details(facts: dict[str, object]) -> str:
    return " ".join(f"{name}={_plain(value)}" for name, value in facts.items())


def _plain(value: object) -> str:
    """In one line: what a log says may have come from a stranger."""
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if text.isprintable() and " " not in text else orjson.dumps(text).decode()
