"""What the demo counts: orders by state, times, its pictures."""

from __future__ import annotations

from rich.console import Console

from loadtests.demo.ledger import NEWS_MAX, STATES, TO_ACCEPTANCE, TO_OFFER, OrderLedger, RatePerMinute
from loadtests.demo.run_clock import RunClock
from loadtests.demo.screen import draw
from loadtests.demo.summary import plain_line, summarize
from loadtests.kit.report import LoadReport


class Clock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def ledger_at(clock: Clock) -> OrderLedger:
    return OrderLedger(LoadReport("test"), clock, clock)


def carried_order(ledger: OrderLedger, clock: Clock, order: str = "ord_1") -> None:
    """Placed, offered after 1 s, won after 3 s."""
    ledger.placed(order, 0, clock())
    clock.now_s += 1.0
    ledger.reached(order, "offered", "to drv_1")
    clock.now_s += 2.0
    ledger.won(order, "drv_1", 3)


def test_order_is_in_one_state_at_a_time() -> None:
    ledger = ledger_at(clock := Clock())
    carried_order(ledger, clock)
    assert +ledger.states == {"assigned": 1}
    ledger.reached("ord_1", "picked_up")
    ledger.brought("ord_1", "drv_1")
    assert +ledger.states == {"delivered": 1}
    assert ledger.open == 0


def test_late_news_does_not_move_an_order_back() -> None:
    ledger = ledger_at(clock := Clock())
    carried_order(ledger, clock)
    ledger.reached("ord_1", "offered", "to drv_2")
    assert +ledger.states == {"assigned": 1}
    ledger.reached("ord_1", "cancelled")
    ledger.brought("ord_1", "drv_1")
    assert +ledger.states == {"cancelled": 1}


def test_times_count_from_the_request() -> None:
    ledger = ledger_at(clock := Clock())
    carried_order(ledger, clock)
    assert list(ledger.report.tally(TO_OFFER).seconds) == [1.0]
    assert list(ledger.report.tally(TO_ACCEPTANCE).seconds) == [3.0]


def test_offer_that_is_heard_before_the_acknowledgement_is_timed_as_well() -> None:
    ledger = ledger_at(clock := Clock())
    clock.now_s += 0.5
    ledger.reached("ord_1", "offered", "to drv_1")
    clock.now_s += 1.0
    ledger.placed("ord_1", 0, 100.0)
    assert list(ledger.report.tally(TO_OFFER).seconds) == [0.5]
    assert +ledger.states == {"offered": 1}


def test_pace_is_that_of_the_last_minute() -> None:
    pace = RatePerMinute()
    for second in range(120):
        pace.tick(float(second))
    assert pace.per_min(119.0, 120.0) == 61
    assert RatePerMinute().per_min(5.0, 5.0) == 0


def test_news_is_short_and_errors_are_in_it() -> None:
    ledger = ledger_at(Clock())
    for number in range(3 * NEWS_MAX):
        ledger.say(f"line {number}")
    ledger.fail("order.pickup", "no answer")
    assert len(ledger.news) == NEWS_MAX
    assert "order.pickup: no answer" in ledger.news[-1]
    assert ledger.report.errors == 1


def test_picture_names_every_state_and_counts_what_is_there() -> None:
    ledger = ledger_at(clock := Clock())
    carried_order(ledger, clock)
    picture = summarize(ledger, [], RunClock())
    assert tuple(picture.orders) == STATES
    assert picture.orders["assigned"] == 1
    assert picture.to_acceptance_ms == (3000.0, 3000.0)
    assert "1 assigned" in plain_line(picture)
    assert "errors: 0" in plain_line(picture)


def test_view_shows_states_news_and_how_to_stop() -> None:
    ledger = ledger_at(clock := Clock())
    carried_order(ledger, clock)
    console = Console(width=130, record=True, quiet=False, force_terminal=False)
    with console.capture() as seen:
        console.print(draw(summarize(ledger, [], RunClock())))
    for word in ("picked up", "disconnected", "deliveries a minute", "ord_1 assigned to drv_1", "Ctrl-C"):
        assert word in seen.get()
