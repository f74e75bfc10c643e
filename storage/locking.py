"""What the write of an item locks, as its blockers are named: the same for Postgres and its twin in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.ports import Blocker

Find = Callable[[str], tuple[str, int, str, str, str] | None]


def needs(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of what an item locks, its own row first. `restock` stands for products whose numbers it does not say."""
    own, shard = f"{item['kind']} {item['id']}", f"shard {item['shard']}"
    if item["kind"] == "driver":
        return own, shard, "table"
    told = tuple(f"driver {entry['driver']}" for entry in item.get("feed") or ())
    taken = () if item.get("take") is None else (f"driver {item['take']}",)
    return (own, shard, *taken, *told, *(("restock",) if item["restock"] else ()), "table")


def blocker_of(item: Mapping[str, Any], find: Find) -> Blocker | None:
    """Which lock stands in the way of an item. `find` gives what is locked, pid, user, application and state of the
    holder by a key; `restock 7` asks for the products of order 7.
    """
    for key in needs(item):
        found = find(f"restock {item['id']}" if key == "restock" else key)
        if found is not None:
            return Blocker(key, *found)
    return None
