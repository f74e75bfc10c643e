"""Walks through JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def objects(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every object in a value with the path to it, the inner ones first. They may be changed on the way."""
    if isinstance(value, dict):
        for name, part in list(value.items()):
            yield from objects(part, (*path, name))
        yield path, value
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from objects(part, (*path, str(number)))


def pointer(path: tuple[str, ...]) -> str:
    """A JSON pointer as refusals show it."""
    return "#" + "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def parts(shown: str) -> tuple[str, ...]:
    """The path in a pointer of `pointer`."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in shown.split("/")[1:])
