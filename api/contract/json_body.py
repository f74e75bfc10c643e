"""Strict JSON parser of request bodies.

pydantic alone accepts duplicate keys (the last wins), NaN, 1e999 and characters that Postgres refuses, and aiohttp's
`request.json()` turns five kinds of garbage into a 500. So a scanner reads a body first, and refuses all of these and
too much depth or size. Only then is the value validated by its model, in strict mode.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError

from api.contract.field_errors import faults_of
from api.contract.problems import Problem

BODY_BYTES_MAX = 64 * 1024
DEPTH_MAX = 16
# The largest body of our clients has a tenth of it.
MEMBERS_MAX = 1000
ITEMS_MAX = 500
# Postgres's bigint, which is more than any field accepts.
INTEGER_DIGITS_MAX = 19

# These escapes must come in pairs; a single one is not a character.
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Model = TypeVar("Model", bound=BaseModel)

_EMPTY: dict[type[BaseModel], BaseModel] = {}


class _Refused(ValueError):
    """The scanner has found an invalid part."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("the same name stands twice in an object")
    return found


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS_MAX + 1:
        raise _Refused("a number has too many digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _Refused("a number is out of range")
    return value


_SCANNER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer, parse_float=_real, strict=True
)


def _too_deep(text: str) -> bool:
    """True when brackets nest too deep. Brackets inside strings do not count."""
    depth, in_string, escaped = 0, False, False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif char in "]}":
            depth -= 1
    return False


def _is_too_much(value: Any) -> bool:
    """True when all objects together have too many members, or an array too many items."""
    members, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            members += len(item)
            waiting += item.values()
        elif isinstance(item, list):
            if len(item) > ITEMS_MAX:
                return True
            waiting += item
    return members > MEMBERS_MAX


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def scan_json(data: bytes) -> Any:
    """Parse a JSON text, or raise the problem `malformed_json`.

    Raises:
        Problem: not UTF-8, not JSON, nested too deep, too many members or items, a duplicate name, NaN, numbers
            out of range, half a surrogate pair.
    """
    if b"\\" not in data and data.count(b"[") + data.count(b"{") <= DEPTH_MAX:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
        else:
            # Each name takes one colon. With as many colons as names no name stood twice, and no text contains a colon;
            # otherwise the slower scanner below decides.
            if MEMBERS_MAX >= _names_in(value) == data.count(b":"):
                return value
    return _scan_slowly(data)


def _names_in(value: Any) -> int:
    """Number of names in all objects; a large negative number forces the scanner."""
    if type(value) is dict:
        return len(value) + sum(map(_names_in, value.values()))
    if type(value) is list:
        return sum(map(_names_in, value)) if len(value) <= ITEMS_MAX else -1000
    if type(value) is float and not -1e15 < value < 1e15:
        return -1000  # infinite, or an integer of too many digits
    return 0


def _scan_slowly(data: bytes) -> Any:
    if not data.strip():
        raise Problem("malformed_json", "The body is empty.")
    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            raise _Refused("the text begins with a byte order mark")
        if text.count("[") + text.count("{") > DEPTH_MAX and _too_deep(text):
            raise _Refused("the nesting is too deep")
        value = _SCANNER.decode(text)
        if _is_too_much(value):
            raise _Refused(f"more than {MEMBERS_MAX} members, or {ITEMS_MAX} items in an array")
        if _ESCAPED_SURROGATE.search(text) and _has_lone_surrogate(value):
            raise _Refused("half of a surrogate pair")
        return value
    except _Refused as error:
        raise Problem("malformed_json", f"Refused: {error}.") from None
    except UnicodeDecodeError:
        raise Problem("malformed_json", "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Problem("malformed_json", f"Not JSON at line {error.lineno}, column {error.colno}.") from None
    except (ValueError, RecursionError):
        raise Problem("malformed_json", "Not acceptable JSON.") from None


def _of_nothing(model: type[Model]) -> Model:
    """The model of an empty object, cached: most commands send it, and models are frozen."""
    known = _EMPTY.get(model)
    if known is None:
        known = _EMPTY[model] = model.model_validate({})
    return cast(Model, known)


def parse_body(model: type[Model], data: bytes) -> Model:
    """Parse a body into its model; every fault is named.

    Raises:
        Problem: `malformed_json`, or `invalid` with a pointer per fault.
    """
    if data == b"{}":
        return parse_value(model, {}, "body")
    scan_json(data)
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise Problem("invalid", faults=faults_of(error, "body")) from None


def parse_value(model: type[Model], value: Any, location: str) -> Model:
    """Parse query parameters or a scanned value into a model; strings are converted.

    Raises:
        Problem: `invalid` with a fault per parameter.
    """
    try:
        return _of_nothing(model) if value == {} else model.model_validate(value)
    except ValidationError as error:
        raise Problem("invalid", faults=faults_of(error, location)) from None
