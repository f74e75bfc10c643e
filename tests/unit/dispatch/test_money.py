"""Money adds up, in whole minor units of one currency."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.ids import NUMBER_MAX, parse_id, public_id
from dispatch.domain.money import Money
from tests.unit.dispatch.test_order_decisions import order


def test_total_of_an_order_is_the_sum_of_its_lines() -> None:
    facts = order().facts
    lines = [facts.price(item).times(item.quantity) for item in facts.items]
    assert reduce(add, lines) == facts.total


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="currencies"):
        Money(1, "EUR") + Money(1, "USD")


@given(st.sampled_from(["ord", "drv"]), st.integers(1, NUMBER_MAX))
def test_public_id_is_read_back(prefix: str, number: int) -> None:
    assert parse_id(prefix, public_id(prefix, number)) == number


@pytest.mark.parametrize(
    "text", ["ord_0", "ord_01", "ord_-1", "ord_", "ord", "drv_1", "ord_9007199254740992", "ord_1 ", "ord_١"]
)
def test_broken_id_is_none(text: str) -> None:
    assert parse_id("ord", text) is None
