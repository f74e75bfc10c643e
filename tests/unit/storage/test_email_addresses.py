"""The normal form of an address: one for all ways to write it, and the same when it is taken again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.email_addresses import normal_form


@given(st.text())
def test_normal_form_is_its_own(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@given(st.text())
def test_capitals_do_not_change_it(text: str) -> None:
    assert normal_form(text.casefold()) == normal_form(text)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Ann@Example.ORG", "ann@example.org"),
        ("caf\u00e9@example.org", "cafe\u0301@example.org"),
        ("stra\u00dfe@example.org", "STRASSE@example.org"),
        ("\u1e9e@example.org", "ss@example.org"),
    ],
)
def test_address_is_one_however_it_is_written(one: str, two: str) -> None:
    assert normal_form(one) == normal_form(two)


@pytest.mark.parametrize(
    ("one", "two"), [("\u0130van@x.org", "ivan@x.org"), ("\u0131van@x.org", "ivan@x.org")]
)
def test_other_letters_are_others(one: str, two: str) -> None:
    assert normal_form(one) != normal_form(two)
