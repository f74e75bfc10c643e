"""Names of the rows that a write locks, the same for Postgres and the store in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.ports import Blocker

Find = Callable[[str], tuple[str, int, str, str, str] | None]


def needs(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of the rows that an item locks, its own row first. `restock` stands for the products of its order."""
    own, shard = f"{item['kind']} {item['id']}", f"shard {item['shard']}"
    if item["kind"] == "driver":
        return own, shard, "table"
    told = tuple(f"driver {entry['driver']}" for entry in item.get("feed") or ())
    taken = () if item.get("take") is None else (f"driver {item['take']}",)
    return (own, shard, *taken, *told, *(("restock",) if item["restock"] else ()), "table")


def blocker_of(item: Mapping[str, Any], find: Find) -> Blocker | None:
    """The lock that blocks an item, or None.

    `find` returns the locked row, and the holder's pid, user, application and state, by a key. `restock 7` stands for
    the products of order 7.
    """
    for key in needs(item):
        found = find(f"restock {item['id']}" if key == "restock" else key)
        if found is not None:
            return Blocker(key, *found)
    return None
