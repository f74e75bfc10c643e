"""Good bodies, spoilt in hundreds of ways that can never be right: all refused, and nothing is changed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.raw_http import LEAK, RunningServer, grafted
from tests.acceptance.write_operations import WITH_BODY

pytestmark = pytest.mark.usefixtures("database_unchanged")

_HUGE = '"' + "x" * 20_000 + '"'
# What can stand in no field that takes this type.
WRONG: dict[type, tuple[str, ...]] = {
    str: (
        "0", "-1", "1.5", "1e300", "true", "false", "[]", "{}", '[""]', '{"a": "b"}', '""', '" "', _HUGE,
        '"a\\u0000b"', '"a\\u202eb"', '"\\ud800"', '"\\u200b"', '"a\\u0007"', "NaN", "nul",
    ),
    int: (
        '"1"', '""', "true", "false", "[]", "{}", "[1]", '{"a": 1}', "1e300", "-1e300", "1e999", "NaN", "Infinity",
        "9223372036854775808", "-9223372036854775809", "99999999999999999999999", '"0x10"', "01", "- 1", "1_000",
    ),
    bool: ('"true"', '""', "0", "1", "2", "1.0", "[]", "{}", "[true]", '"on"', "TRUE", "yes"),
    list: ("{}", '""', '"x"', "0", "1", "true", '{"0": {}}', "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", "[,]", "[NaN]"),
    dict: ("[]", '""', '"x"', "0", "1", "true", "[{}]", '{"a": NaN}', '{"": 1}', "{,}"),
}  # fmt: skip
WRONG[float] = WRONG[int]
NAMES = (
    "",
    "extra",
    "__proto__",
    "constructor",
    "id",
    "status",
    "role",
    "price_minor",
    "$where",
    "'; --",
    "ünï",
)


def _places(body: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a body with its pointer."""
    inside = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in inside:
        yield f"{at}/{name}", value
        yield from _places(value, f"{at}/{name}")


def _spoilt(body: Any, rng: random.Random) -> Iterator[bytes]:
    """Endless ways to spoil a body."""
    text, places = json.dumps(body), list(_places(body))
    objects = ["", *(at for at, value in places if isinstance(value, dict))]
    while True:
        way = rng.randrange(5)
        cut = rng.randrange(1, len(text)) if len(text) > 2 else 1
        if way == 0 and places:
            at, value = rng.choice(places)
            yield grafted(body, at, rng.choice(WRONG[type(value)]))
        elif way == 1:
            holder = rng.choice(objects)
            copy = json.loads(text)
            inner = copy
            for step in holder.split("/")[1:]:
                inner = inner[int(step) if isinstance(inner, list) else step]
            name = rng.choice([n for n in NAMES if n not in inner and not _knows(n)])
            inner[name] = rng.choice((None, 1, "x", [], {}))
            yield json.dumps(copy).encode()
        elif way == 2:
            yield text[:cut].encode()
        elif way == 3:
            junk = rng.choice((b"\x00", b"\xff", b"\xc3\x28", b"\x1f", b"\xed\xa0\x80"))
            yield text[:cut].encode() + junk + text[cut:].encode()
        else:
            yield text.encode() + rng.choice(
                (b"x", b"{}", b",", b"\x00", b"]", b"}", b" null", b"\xef\xbb\xbf")
            )


def _knows(name: str) -> bool:
    """True for names that some model takes."""
    return name in {"status", "role"}


async def _refuses(server: RunningServer, name: str, count: int) -> None:
    bodies = _spoilt(WITH_BODY[name].body, random.Random(name))
    for _ in range(count):
        body = next(bodies)
        answer = await server.write(name, body)
        assert answer.status in (400, 413, 422), (name, body[:300], answer.status, answer.body[:300])
        assert LEAK.search(repr(answer)) is None


@pytest.mark.parametrize("name", WITH_BODY)
async def test_operation_takes_none_of_three_hundred_spoilt_bodies(server: RunningServer, name: str) -> None:
    await _refuses(server, name, 300)
