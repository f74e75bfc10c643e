"""Lists a page at a time: sql/lists/*.sql, with only those conditions that a request has given.

A list that names every filter as `$3 IS NULL OR column = $3` has one plan for all of them, and it reads the
whole table. So the text is put together for each set of filters, from parts that stand in the file, and
never from a request: a request only chooses among their names. Their number is bounded, and so is the cache.

How a block is read: `-- id: column` is what tells rows of the same key apart; each `-- by name: sorted by;
shown as; compared with` is a sort, the last two saying how its key leaves and comes back; each
`-- if name: condition` is a filter. `$` stands for the value. `{key}`, `{rows}`, `{order}` and `{limit}` are
filled in. Pages follow each other by key and id, so a row that others come and go around is met exactly
once, and the last page costs what the first one does. Only a row whose own key is changed meanwhile, a
product that gets another price in a walk by price, may be met in both places or in neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from storage.postgres.queries import load_blocks

# Texts kept ready: more than all sets of filters that people use, fewer than all that there could be.
TEXTS_MAX = 512

_PART = re.compile(r"^-- (id|by|if)(?: ([a-z_]+))?: (.+)\n?", re.MULTILINE)


class Key(NamedTuple):
    """A sort: the expression, how its value leaves, and what a cursor's value is compared as."""

    expression: str
    shown: str
    compared: str


class After(NamedTuple):
    """Where a page begins: behind the row of this key and this id."""

    key: int | str
    id: int

    def values(self, sort: str) -> tuple[int | str, ...]:
        """The parameters of a statement that follows this row."""
        return (self.id,) if sort in ("id", "-id") else (self.key, self.id)


@dataclass(frozen=True)
class ListQuery:
    """A list that can be sorted and filtered.

    Attributes:
        keys: its sorts by name; `id` is always one.
        conditions: its filters by name.
    """

    name: str
    text: str
    keys: Mapping[str, Key] = field(hash=False)
    conditions: Mapping[str, str] = field(hash=False)

    def statement(self, filters: tuple[str, ...], sort: str, *, following: bool) -> str:
        """The SQL for these filters; parameters: the limit, the filters in this order, then those of the
        row that the page follows.

        Args:
            filters: names of conditions.
            sort: name of a key, with a minus in front for the largest first.
            following: a page behind a row, not the first one.

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
    """All lists of a folder.

    Raises:
        ValueError: a list does not say what its id is.
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
    """The SQL of a page; see Listing.statement."""
    return LISTINGS[name].statement(filters, sort, following=following)
