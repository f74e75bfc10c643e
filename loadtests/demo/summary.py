"""The numbers of a moment, for the live view; and as one plain line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.demo.driver import DOINGS, DemoDriver
from loadtests.demo.ledger import STATES, TO_ACCEPTANCE, TO_OFFER, OrderLedger
from loadtests.demo.run_clock import RunClock

# How often the plain line comes.
PLAIN_S = 5.0
QUANTILES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Summary:
    """One moment of the demo.

    Attributes:
        orders, drivers: how many by state; every state is there.
        to_offer_ms, to_acceptance_ms: p50 and p95 since an order was sent.
        feed_faults: gaps and repetitions so far.
        news: the newest line last.
    """

    phase: str
    elapsed_s: float
    orders: Mapping[str, int]
    drivers: Mapping[str, int]
    orders_per_min: float
    deliveries_per_min: float
    to_offer_ms: tuple[float, float]
    to_acceptance_ms: tuple[float, float]
    errors: int
    feed_faults: int
    resumed: int
    news: tuple[str, ...]


def summarize(ledger: OrderLedger, drivers: Sequence[DemoDriver], clock: RunClock) -> Summary:
    """As it is now."""
    now_s, elapsed_s = ledger.now(), ledger.elapsed_s
    doing = Counter(driver.doing for driver in drivers)
    phones = [driver.phone for driver in drivers]
    return Summary(
        phase=clock.phase,
        elapsed_s=elapsed_s,
        orders={state: ledger.states[state] for state in STATES},
        drivers={state: doing[state] for state in DOINGS},
        orders_per_min=ledger.ordered.per_min(now_s, elapsed_s),
        deliveries_per_min=ledger.delivered.per_min(now_s, elapsed_s),
        to_offer_ms=_quantiles(ledger, TO_OFFER),
        to_acceptance_ms=_quantiles(ledger, TO_ACCEPTANCE),
        errors=ledger.report.errors,
        feed_faults=sum(phone.position.gaps + phone.position.repeats for phone in phones),
        resumed=sum(phone.position.resumed for phone in phones),
        news=tuple(ledger.news),
    )


def _quantiles(ledger: OrderLedger, name: str) -> tuple[float, float]:
    p50, p95 = (ledger.report.ms([name], share) for share in QUANTILES)
    return p50, p95


def plain_line(summary: Summary) -> str:
    """The picture where there is no terminal to draw on."""
    orders = ", ".join(f"{count} {state}" for state, count in summary.orders.items() if count)
    drivers = ", ".join(f"{count} {state}" for state, count in summary.drivers.items() if count)
    return (
        f"{summary.elapsed_s:6.1f} s {summary.phase:<8} orders: {orders or 'none'}; drivers: {drivers}; "
        f"per minute: {summary.orders_per_min:.0f} ordered, {summary.deliveries_per_min:.0f} delivered; "
        f"to acceptance p50 {summary.to_acceptance_ms[0]:.0f} ms, p95 {summary.to_acceptance_ms[1]:.0f} ms; "
        f"errors: {summary.errors}"
    )


async def watch_plain(ledger: OrderLedger, drivers: list[DemoDriver], clock: RunClock) -> None:
    """A line now and then and with every phase, until cancelled."""
    while True:
        print(plain_line(summarize(ledger, drivers, clock)), flush=True)
        await clock.turn(PLAIN_S)
