"""Readers of numbers and times (api/contract/literals.py) in the models of requests.

`Strict` inserts them, so that every field uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic_core import CoreSchema, core_schema

from api.contract import literals


def _read_whole(value: object) -> object:
    return literals.whole_of(value) if isinstance(value, str) else literals.as_whole(value)


def _read_number(value: object) -> object:
    return literals.number_of(value) if isinstance(value, str) else value


def _read_time(value: object) -> object:
    if isinstance(value, str):
        return literals.time_of(value)
    if isinstance(value, datetime):
        return value
    raise ValueError("must be a text such as 2030-01-31T12:00:00Z")


def _whole_schema(schema: Any) -> CoreSchema:
    # In a body a text is not a number; in a query all values are texts.
    body = core_schema.no_info_before_validator_function(literals.as_whole, schema)
    query = core_schema.no_info_before_validator_function(_read_whole, schema)
    return core_schema.json_or_python_schema(body, query)


def _number_schema(schema: Any) -> CoreSchema:
    query = core_schema.no_info_before_validator_function(_read_number, schema)
    return core_schema.json_or_python_schema(schema, query)


def _time_schema(schema: Any) -> CoreSchema:
    return core_schema.no_info_before_validator_function(_read_time, schema)


_READERS: Mapping[str, Callable[[Any], CoreSchema]] = {
    "int": _whole_schema, "float": _number_schema, "datetime": _time_schema,
}  # fmt: skip
# Skipped: another model has its own readers, and the rest reads no text.
_CLOSED = frozenset({"model", "json-or-python"})


def put_readers(schema: Any) -> None:
    """Insert readers before every number and time in the schema of a model, in place."""
    while schema["type"] != "model":  # validators of the whole model wrap it
        schema = schema["schema"]
    _put(schema["schema"])


def _put(schema: Any) -> None:
    for name, part in list(schema.items() if isinstance(schema, dict) else enumerate(schema)):
        if isinstance(part, list | dict) and name not in ("metadata", "serialization"):
            kind: Any = part.get("type") if isinstance(part, dict) else None
            if not isinstance(kind, str):  # a list, or the fields of a model, one of which is called `type`
                kind = None
            if kind in _READERS:
                schema[name] = _READERS[kind](part)
            elif kind not in _CLOSED:
                _put(part)
