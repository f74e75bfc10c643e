"""A creation that another program's lock blocks: it is tried again while there is time for a whole try."""

from __future__ import annotations

from typing import Any, cast

import pytest

from actors.errors import NotWritten, Unavailable
from actors.runtime import Runtime
from dispatch.domain.geo import Place
from dispatch.order_creation import NewOrder
from dispatch.service import Caller, Dispatch

NEW = NewOrder(((1, 1),), Place(0.0, 0.0), "door", "cash", None)


class LockedPlacer:
    """Says after `takes_s` of its clock that a row is locked."""

    def __init__(self, takes_s: float) -> None:
        self.now_s = 0.0
        self.tries = 0
        self._takes_s = takes_s

    def monotonic(self) -> float:
        return self.now_s

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        del request
        self.tries += 1
        self.now_s += self._takes_s
        raise NotWritten("locked", locked=True)


@pytest.mark.parametrize(("takes_s", "tries"), [(2.0, 2), (2.6, 1), (1.2, 4)])
async def test_no_try_begins_that_the_deadline_would_cut(
    monkeypatch: pytest.MonkeyPatch, takes_s: float, tries: int
) -> None:
    """Cut, it would leave the customer without an answer whether there is an order."""
    monkeypatch.setattr("dispatch.service.LOCKED_S", 0.0)
    placer = LockedPlacer(takes_s)
    dispatch = Dispatch.__new__(Dispatch)
    dispatch.runtime = cast(Runtime, type("_Runtime", (), {"clock": placer}))
    dispatch.creations = cast(Any, placer)
    dispatch._bounds = cast(Any, type("_Bounds", (), {"unpaid_orders": 1, "held_pieces": 1, "low_stock": 0}))
    with pytest.raises(Unavailable):
        await dispatch.create_order(Caller("customer", 1, "t", "a key", b"{}"), NEW, budget_s=5.0)
    assert placer.tries == tries
