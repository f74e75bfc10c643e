"""List queries: pages of sql/lists/*.sql, with only the conditions of a request.

A query with each filter as `$3 IS NULL OR column = $3` has one plan for all of them, which reads the whole table. So
the text is assembled for each set of filters, from parts of the file. A request only chooses names of parts, and never
adds text. The number of sets is bounded, and so is the cache.

Syntax of a block: `-- id: column` is the tie-breaker of rows with the same key. Each `-- by name: sorted by; shown as;
compared with` is a sort; the last two convert its key to and from a cursor. Each `-- if name: condition` is a filter.
`$` stands for the value. `{key}`, `{rows}`, `{order}` and `{limit}` are filled in. Pages follow each other by key and
id. So inserts and deletions of other rows do not repeat or hide a row, and the last page costs as much as the first.
Only a row whose own key changes meanwhile, like a product's price in a walk by price, may appear twice or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from storage.postgres.queries import load_blocks

# Size of the cache: more than the sets of filters in use, fewer than all possible ones.
TEXTS_MAX = 512

_PART = re.compile(r"^-- (id|by|if)(?: ([a-z_]+))?: (.+)\n?", re.MULTILINE)


class Key(NamedTuple):
    """Sort key: its expression, how its value is shown, and the type with which a cursor's value is compared."""

    expression: str
    shown: str
    compared: str


class After(NamedTuple):
    """Start of a page: after the row with this key and id."""

    key: int | str
    id: int

    def values(self, sort: str) -> tuple[int | str, ...]:
        """Parameters of a statement for the page after this row."""
        return (self.id,) if sort in ("id", "-id") else (self.key, self.id)


@dataclass(frozen=True)
class ListQuery:
    """List with its sorts and filters.

    Attributes:
        keys: its sorts by name; `id` is always one.
        conditions: its filters by name.
    """

    name: str
    text: str
    keys: Mapping[str, Key] = field(hash=False)
    conditions: Mapping[str, str] = field(hash=False)

    def statement(self, filters: tuple[str, ...], sort: str, *, following: bool) -> str:
        """SQL for these filters. Parameters: the limit, the filters in this order, then those of `After`.

        Args:
            filters: names of conditions.
            sort: name of a key, with a minus in front for descending order.
            following: a page after a row, not the first one.

        Raises:
            KeyError: a name is not one of this list's.
        """
        backward, by = sort.startswith("-"), sort.removeprefix("-")
        key, number = self.keys[by], self.keys["id"]
        parted = [number] if by == "id" else [key, number]
        columns = [part.expression for part in parted]
        rows = [self.conditions[name].replace("$", f"${at}") for at, name in enumerate(filters, 2)]
        if following:
            first = len(filters) + 2
            values = [part.compared.replace("$", f"${at}") for at, part in enumerate(parted, first)]
            rows.append(f"({', '.join(columns)}) {'<' if backward else '>'} ({', '.join(values)})")
        order = ", ".join(f"{column} {'DESC' if backward else 'ASC'}" for column in columns)
        parts = {
            "key": key.shown,
            "rows": " AND ".join(rows) or "true",
            "order": order,
            "limit": "$1::bigint",
        }
        text = self.text
        for name, part in parts.items():
            text = text.replace(f"{{{name}}}", part)
        return text


def load_listings(folder: Path) -> dict[str, ListQuery]:
    """Load all lists of a folder.

    Raises:
        ValueError: a list has no id.
    """
    found = {}
    for name, block in load_blocks(folder).items():
        keys, conditions, column = {}, {}, ""
        for kind, part, text in _PART.findall(block):
            if kind == "id":
                column = text
            elif kind == "by":
                keys[part] = Key(*text.split("; "))
            else:
                conditions[part] = text
        if not column:
            raise ValueError(f"list {name} has no id")
        keys["id"] = Key(column, column, "$::bigint")
        found[name] = ListQuery(name, _PART.sub("", block), keys, conditions)
    return found


LISTINGS = load_listings(Path(__file__).parent / "sql" / "lists")


@lru_cache(TEXTS_MAX)
def list_statement(name: str, filters: tuple[str, ...], sort: str, following: bool) -> str:
    """SQL of a page; see ListQuery.statement."""
    return LISTINGS[name].statement(filters, sort, following=following)
