"""Whatever bytes come, they become the value they stand for, or one of two problems."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pydantic_core
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from api.contract.fields import Name, Strict
from api.contract.json_body import DEPTH_MAX, parse_body, parse_value, scan_json
from api.contract.problems import Problem


class Inner(Strict):
    quantity: Annotated[int, Field(ge=1)]


class Body(Strict):
    name: Name
    lines: tuple[Inner, ...] = ()


def refused(data: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        scan_json(data)
    return caught.value


# -- the scanner ------------------------------------------------------------------------------------------


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_nesting_is_taken_to_the_limit_and_no_further() -> None:
    assert scan_json(nested(DEPTH_MAX)) is not None
    assert refused(nested(DEPTH_MAX + 1)).code == "malformed_json"


def test_brackets_inside_texts_do_not_count_as_nesting() -> None:
    text = "[{" * 100 + '\\"' + "[{" * 100
    assert scan_json(json.dumps([text]).encode()) == [text]


def test_brackets_side_by_side_do_not_count_as_nesting() -> None:
    assert scan_json(b"[" + b",".join([b"[{}]"] * 100) + b"]") == [[{}]] * 100


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 10**19, 0])
def test_integers_within_int64_and_a_little_beyond_are_read_exactly(number: int) -> None:
    assert scan_json(str(number).encode()) == number


@pytest.mark.parametrize(
    "text", ["9" * 21, "-" + "9" * 20, "9" * 5000, "1e309", "-1e309", "NaN", "-Infinity"]
)
def test_numbers_that_no_column_holds_are_refused(text: str) -> None:
    assert refused(text.encode()).code == "malformed_json"


@pytest.mark.parametrize("text", ['"\\ud83d\\ude00"', '"\\\\ud800"', '{"\\ud83d\\ude00": "\U0001f600"}'])
def test_whole_surrogate_pairs_and_what_only_looks_like_one_are_fine(text: str) -> None:
    assert scan_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", ['"\\ud83d"', '"\\ude00\\ud83d"', '{"\\uDBFF": 1}', '[["x\\udfff"]]'])
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    assert refused(text.encode()).detail == "Refused: half of a surrogate pair."


def test_a_problem_says_where_the_json_breaks_but_not_what_is_there() -> None:
    problem = refused(b'{"password": "hunter2" oops}')
    assert problem.detail == "Not JSON at line 1, column 24."


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=100, deadline=None, database=None)
@given(_json, st.booleans())
def test_every_proper_json_value_is_read_as_what_it_is(value: Any, ascii_only: bool) -> None:
    assert scan_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


# Pieces that make texts which are nearly JSON.
_pieces = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", ",", ":", '"a"', '"b"', '"', "\\", "\\ud800", "\\udc00", "\\u0061", "1", "-", "0", ".",
         "e9", "e999", "true", "null", "NaN", "-Infinity", " ", "\n", "\x00", "\x0b", "\u00a0", "\ufeff", "é", "//"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None, database=None)
@given(_pieces.map(str.encode) | st.binary(max_size=20))
@example(b'"\\ud800"')
@example(b"1e400")
@example(b"-0")
def test_what_the_scanner_takes_the_models_read_as_the_same(data: bytes) -> None:
    """Two parsers read a body; where they disagreed, one of them would be fooled."""
    try:
        value = scan_json(data)
    except Problem:
        return
    assert pydantic_core.from_json(data, allow_inf_nan=False) == value


# -- the models -------------------------------------------------------------------------------------------


def faults(data: bytes) -> dict[str, str]:
    with pytest.raises(Problem) as caught:
        parse_body(Body, data)
    assert caught.value.code == "invalid"
    return {fault.pointer: fault.code for fault in caught.value.faults}


def test_a_good_body_becomes_its_model() -> None:
    body = parse_body(Body, b'{"name": " Anna ", "lines": [{"quantity": 2}]}')
    assert body == Body(name="Anna", lines=(Inner(quantity=2),))


def test_every_fault_has_its_pointer() -> None:
    assert faults(b'{"lines": [{"quantity": 0}, {"quantity": "1"}, {}], "x": 1}') == {
        "#/name": "missing",
        "#/lines/0/quantity": "greater_than_equal",
        "#/lines/1/quantity": "int_type",
        "#/lines/2/quantity": "missing",
        "#/x": "extra_forbidden",
    }


def test_pointers_escape_what_rfc_6901_escapes() -> None:
    assert faults(b'{"name": "x", "a/b": 1, "a~b": 1, "": 1}').keys() == {"#/a~1b", "#/a~0b", "#/"}


def test_a_fault_is_short_and_without_the_rejected_value() -> None:
    with pytest.raises(Problem) as caught:
        parse_body(Body, json.dumps({"name": ["hunter2"], "x" * 5000: "hunter2"}).encode())
    for fault in caught.value.faults:
        assert len(fault.pointer) <= 200
        assert len(fault.detail) <= 200
        assert "hunter2" not in fault.detail + fault.pointer


def test_query_parameters_are_named_without_a_pointer() -> None:
    with pytest.raises(Problem) as caught:
        parse_value(Inner, {"quantity": "many", "x": "1"}, "query")
    assert {(f.location, f.pointer) for f in caught.value.faults} == {("query", "quantity"), ("query", "x")}
