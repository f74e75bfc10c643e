"""Think times of users, and what they do by chance. Pure.

Every pair is a uniform range in seconds. Sources are the apps one knows, not measurements: a page is read
for some seconds, an open order is polled about every five, a courier app reports its place about every
five. Only travel is shortened: real pick-ups and deliveries take minutes, and no run of a minute would see
one end.
"""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ThinkTimes:
    """Think times and shares.

    Attributes:
        page_s: a customer reads a page before the next step.
        poll_s: between two looks at an open order.
        watch_s: how long an order is watched before the app is put away.
        pause_s: between two visits.
        cancel: share of orders that are cancelled at once.
        history: share of visits that end with a look at all orders.
        tries: products tried when one is sold out.
        units: most units of one product in an order.
        react_s: a driver reads an offer and taps.
        decline: share of offers that are declined.
        fetch_s, carry_s: to the store, and on to the customer (shortened, see above).
        locate_s: between two locations.
        ack_s: between two acknowledgements.
    """

    page_s: Span = (1.0, 4.0)
    poll_s: Span = (4.0, 6.0)
    watch_s: Span = (10.0, 30.0)
    pause_s: Span = (2.0, 8.0)
    cancel: float = 0.05
    history: float = 0.3
    tries: int = 1
    units: int = 3
    react_s: Span = (1.0, 4.0)
    decline: float = 0.05
    fetch_s: Span = (2.0, 5.0)
    carry_s: Span = (3.0, 7.0)
    locate_s: Span = (4.0, 6.0)
    ack_s: float = 1.0


CALM = ThinkTimes()
# Everybody has the page open and taps within two seconds; who gets nothing tries another product, and
# keeps coming back.
GREEDY = ThinkTimes(
    page_s=(0.2, 2.0), watch_s=(5.0, 15.0), pause_s=(2.0, 6.0), cancel=0.0, history=0.1, tries=3, units=2
)
