"""Orders that are shown again."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from api.http.order_answers import KEPT_BYTES_MAX, KEPT_MAX, OrderAnswers
from api.rest import serializers
from dispatch.domain.order import ASSIGNED, CONFIRMED, Item, Order
from tests.unit.dispatch.test_order_decisions import order

CARRIED = replace(order(ASSIGNED), driver_id=7)
SEEN_BY = [("customer", 100), ("admin", 9), ("driver", 7), ("driver", 8)]


@pytest.mark.parametrize("first", SEEN_BY)
@pytest.mark.parametrize("then", SEEN_BY)
def test_everybody_sees_what_is_his_to_see_whoever_looked_before(
    first: tuple[str, int], then: tuple[str, int]
) -> None:
    shown = OrderAnswers(serializers.order)
    for _ in range(2):
        for role, number in (first, then):
            seen = orjson.loads(shown.order(CARRIED, role, number))
            assert seen == orjson.loads(orjson.dumps(serializers.order(CARRIED, role, number)))


def test_same_version_that_was_read_again_is_shown_as_it_was_read() -> None:
    """A deletion of its customer leaves an order's version as it is."""
    shown, was = OrderAnswers(serializers.order), order(CONFIRMED)
    shown.order(was, "admin", 9)
    redacted = replace(was, facts=replace(was.facts, address="deleted"))
    assert orjson.loads(shown.order(redacted, "admin", 9))["dropoff"]["address"] == "deleted"
    assert len(shown) == 1


def test_what_is_kept_has_a_bound() -> None:
    shown, one = OrderAnswers(serializers.order), order(CONFIRMED)
    for number in range(KEPT_MAX + 10):
        shown.order(replace(one, facts=replace(one.facts, id=number)), "customer", 100)
    assert len(shown) == KEPT_MAX
    lines = tuple(Item(number, "Bread" * 20, 1, 1) for number in range(50))
    large: Order = replace(one, facts=replace(one.facts, id=0, items=lines))
    assert len(shown.order(large, "customer", 100)) > KEPT_BYTES_MAX
    assert len(shown) == KEPT_MAX
