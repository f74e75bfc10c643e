"""Whatever a request model takes, some column could hold: for every operation, values made from its own schema."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from math import isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from api.contract.json_body import parse_body
from api.contract.problems import Problem
from api.routes import OPERATIONS

BODIES: dict[str, type[BaseModel]] = {
    name: row.body for name, row in OPERATIONS.items() if row.body is not None
}
INT64 = 2**63 - 1
# Not stored as they come: only their hash is.
HASHED = frozenset({"password", "refresh_token"})

# What fields ask for by pattern, so that the rest of the body is looked at, too.
_proper = st.sampled_from([
    "usr_1", "zon_1", "sto_1", "prd_1", "drv_1", "ofr_1_1", "a@b.example", "EUR", "long enough", "2030-01-01T00:00:00Z",
    "2030-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "x" * 50, "cash", "waves", "online",
])  # fmt: skip
_letters = st.sampled_from(
    "aé\u0301\ufb2c\u0344 \x00\x1f\x85\u00ad\u200b\u202e\u2066\ufeff\U000e0041\U0001f44d"
)
_texts = (
    _proper
    | st.text(_letters | st.characters(), max_size=30)
    | st.text("a\u0301\ufb2c\U0001f44d", min_size=60, max_size=260)
)  # fmt: skip
_integers = st.integers(-2, 100) | st.sampled_from(
    [2**31 - 1, 2**31, 10**9, 2**53, INT64, INT64 + 1, -INT64 - 2]
)
_numbers = st.floats(-181, 181, allow_nan=False) | st.sampled_from([5e-324, -0.0, 90.00000000000001, 1e308])


def values(schema: dict[str, Any], defs: dict[str, Any]) -> st.SearchStrategy[Any]:
    """JSON values that this schema may well accept."""
    if "$ref" in schema:
        return values(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        return st.one_of([values(each, defs) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | _proper
    kind = schema.get("type")
    if kind == "array":
        return st.lists(values(schema["items"], defs), max_size=4)
    if kind == "object":
        fields = {name: values(each, defs) for name, each in schema.get("properties", {}).items()}
        needed = {name: fields[name] for name in schema.get("required", ())}
        return st.fixed_dictionaries(needed, optional={k: v for k, v in fields.items() if k not in needed})
    plain: dict[str, st.SearchStrategy[Any]] = {
        "string": _texts, "integer": _integers, "number": _numbers, "boolean": st.booleans(), "null": st.none(),
    }  # fmt: skip
    return plain[str(kind)]


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is not a list or an object, with its field's name."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, key)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from leaves(each, name)
    else:
        yield name, value


def storable(name: str, value: object) -> bool:
    """True when text, bigint, double precision, boolean or timestamptz holds exactly this."""
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, str):
        encoded = value.encode("utf-8", "replace").decode() == value
        return name in HASHED or (encoded and "\x00" not in value and unicodedata.is_normalized("NFC", value))
    if isinstance(value, int):
        return -INT64 - 1 <= value <= INT64
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, datetime) and value.tzinfo is not None


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_what_a_model_takes_a_column_takes(name: str, data: st.DataObject) -> None:
    schema = BODIES[name].model_json_schema()
    body = data.draw(values(schema, schema.get("$defs", {})))
    try:
        read = parse_body(BODIES[name], json.dumps(body).encode("utf-8", "surrogatepass"))
    except Problem:
        return
    wrong = [(field, value) for field, value in leaves(read.model_dump()) if not storable(field, value)]
    assert wrong == []


def test_the_test_knows_every_body() -> None:
    assert len(BODIES) >= 20
