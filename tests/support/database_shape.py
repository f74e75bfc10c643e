"""The shape of a database: everything that it is made of, as text, so that two can be compared object by object."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
# By object ("table orders") and part ("definition", "rights", "owner", "comment", "storage", "rows").
Shape: TypeAlias = Mapping[tuple[str, str], str]

_SHAPE = (Path(__file__).parent / "database_shape.sql").read_text()
# What a new database has in its tables, without what is drawn by lot or read from a clock.
_ROWS = {
    "alembic_version": "SELECT version_num FROM alembic_version",
    "cluster_meta": "SELECT sole, shards, shard_fn, length(feed_epoch), length(peer_secret) FROM cluster_meta",
    "shard": "SELECT id, epoch, owner, incarnation, claimed_at FROM shard ORDER BY id",
    "schema_made": "SELECT kind, definition FROM schema_made WHERE kind IN ('revision', 'server') ORDER BY kind",
}


async def shape_of(connection: Connection) -> Shape:
    """Everything that the database is made of, and the rows that every new one has."""
    rows = await connection.fetch(_SHAPE)
    shape = {(row["object"], row["part"]): row["definition"] or "" for row in rows}
    assert len(shape) == len(rows), "two objects of one name"
    tables = [
        name.removeprefix("table ") for name, part in shape if name.startswith("table ") and part == "owner"
    ]
    for table in tables:
        found = await connection.fetch(_ROWS.get(table, f"SELECT * FROM {table}"))
        shape[f"table {table}", "rows"] = "\n".join(str(tuple(row)) for row in found)
    return shape


def differences(first: Shape, second: Shape, names: tuple[str, str]) -> dict[str, str]:
    """What one of two databases has otherwise than the other: a report for each object.

    Args:
        names: what the two are called in the reports.
    """
    reports: dict[str, list[str]] = {}
    for name, part in sorted(first.keys() | second.keys()):
        texts = [shape.get((name, part)) for shape in (first, second)]
        if texts[0] == texts[1]:
            continue
        missing = [f" (nothing in {where})" for where, text in zip(names, texts, strict=True) if text is None]
        old, new = ((text or "").splitlines() for text in texts)
        diff = unified_diff(old, new, *names, lineterm="")
        reports.setdefault(name, []).extend([f"{part} of {name}{''.join(missing)}:", *diff])
    return {name: "\n".join(lines) for name, lines in reports.items()}
