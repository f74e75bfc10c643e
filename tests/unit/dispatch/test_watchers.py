"""Who may follow an order live, and how many streams each may have."""

from __future__ import annotations

from collections.abc import Iterable

from actors.behaviour import Done
from actors.cluster.codec import Codec
from actors.messages import Turn
from dispatch import messages as m
from dispatch.order_actor import WATCHERS_MAX, WATCHERS_OF_USER_MAX, OrderBehaviour, OrderState
from tests.unit.dispatch.test_order_decisions import NOW, order

CUSTOMER, DRIVER = 100, 7


def watched(state: OrderState, user: int, address: str) -> OrderState | None:
    """The order with this stream; None when it was refused."""
    step = OrderBehaviour().decide(state, m.Watch(address, user), Turn(NOW))
    assert isinstance(step, Done)
    if step.reply is None:
        return None
    assert isinstance(step.state, OrderState)
    return step.state


def crowded(users: Iterable[int]) -> OrderState:
    state = OrderState(order())
    assert state.order.facts.customer_id == CUSTOMER
    for number, user in enumerate(users):
        following = watched(state, user, f"stream-{number}")
        if following is not None:
            state = following
    return state


def test_one_user_has_so_many_streams_and_no_more() -> None:
    state = crowded([DRIVER] * 49)
    assert len(state.watchers) == WATCHERS_OF_USER_MAX
    assert watched(state, DRIVER, "one more") is None
    assert watched(state, DRIVER, "stream-0") is not None, "who watches already may go on"
    assert watched(state, CUSTOMER, "mine") is not None


def test_customer_fits_however_many_others_watch() -> None:
    state = crowded(range(200, 400))
    assert len(state.watchers) == WATCHERS_MAX
    assert watched(state, 400, "another") is None
    mine = watched(state, CUSTOMER, "mine")
    assert mine is not None
    assert mine.watchers["mine"] == CUSTOMER


def test_stream_that_ended_makes_room() -> None:
    state = crowded([DRIVER] * WATCHERS_OF_USER_MAX)
    step = OrderBehaviour().decide(state, m.Unwatch("stream-3"), Turn(NOW))
    assert isinstance(step, Done)
    assert isinstance(step.state, OrderState)
    assert watched(step.state, DRIVER, "again") is not None


def test_instance_of_the_version_before_does_not_say_whose_stream_it_is() -> None:
    codec = Codec([m.Watch])
    assert codec.unpack(["Watch", {"to": "stream-1"}]) == m.Watch("stream-1", 0)
    assert watched(crowded([0] * 20), 0, "one more") is not None
