"""Tree walks through JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def objects(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every object in a value with its path, inner ones first. They may be changed during the walk."""
    if isinstance(value, dict):
        for name, part in list(value.items()):
            yield from objects(part, (*path, name))
        yield path, value
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from objects(part, (*path, str(number)))


def pointer(path: tuple[str, ...]) -> str:
    """The JSON pointer of a path, in the form of refusals."""
    return "#" + "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def parts(shown: str) -> tuple[str, ...]:
    """The path of a pointer made by `pointer`."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in shown.split("/")[1:])
