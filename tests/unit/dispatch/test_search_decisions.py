"""What a zone's predictions do to an order."""

from __future__ import annotations

import pytest

from dispatch.domain import order as o
from dispatch.domain.commands import DISPATCH, SetEta
from dispatch.domain.order import Eta
from dispatch.domain.order_decisions import decide
from tests.unit.dispatch.test_order_decisions import NOW, code, order, won

LATER = Eta(NOW + 60_000, NOW + 600_000)


@pytest.mark.parametrize("status", [o.ASSIGNED, o.PICKED_UP])
def test_order_under_way_takes_the_prediction_and_its_history_says_so(status: str) -> None:
    changed = won(decide(order(status, eta=Eta(NOW, NOW + 1)), SetEta(LATER), NOW))
    assert (changed.order.eta, changed.order.status, changed.by) == (LATER, status, DISPATCH)
    assert (changed.event, changed.data, changed.feed) == ("eta_changed", {"eta_ms": LATER.door_ms}, ())
    assert code(decide(changed.order, SetEta(LATER), NOW)) == "eta_set"


@pytest.mark.parametrize("status", [s for s in o.STATUSES if s not in o.CARRIED])
def test_order_that_no_driver_has_takes_no_prediction(status: str) -> None:
    assert code(decide(order(status), SetEta(LATER), NOW)) == "order_closed"


def test_goods_on_their_way_back_take_no_prediction() -> None:
    assert code(decide(order(o.PICKED_UP, returning_ms=NOW), SetEta(LATER), NOW)) == "order_closed"
