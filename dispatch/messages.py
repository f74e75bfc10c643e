"""What the actors of a mall tell each other, and what they answer."""

from __future__ import annotations

from typing import Any, NamedTuple

from actors.values import frozen
from dispatch.domain.commands import Decision
from dispatch.domain.geo import Place
from dispatch.domain.ids import ORDER, public_id
from dispatch.domain.order import Order


class Reply(NamedTuple):
    """The answer to a command: `code` says what became of it, the rest what the order is now.

    Stored as a JSON triple under the command's id.
    """

    code: str
    status: str
    version: int


# -- to orders ------------------------------------------------------------------------------------


@frozen
class View:
    """Answered with the committed order."""


@frozen
class Created:
    """The order was placed a moment ago; its row comes along as the seed."""


@frozen
class Watch:
    """Stream the order's changes to this address; answered with the order as it is, or None for one too many.

    `user`: whose stream it is; 0 from an instance that does not say.
    """

    to: str
    user: int = 0


@frozen
class Unwatch:
    to: str


# -- to drivers -----------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One entry of a driver's feed."""

    seq: int
    type: str
    at_ms: int
    trace: str
    data: dict[str, Any]


@frozen
class FeedGrew:
    """A commit has appended this entry; without one, nobody knows at which position.

    `took` and `freed`: the order that the driver carries since this commit, or does not any more; `zone_id`:
    the order's. `alive`: the driver itself has wanted it.
    """

    entry: Entry | None
    took: int | None = None
    freed: int | None = None
    zone_id: int = 0
    alive: bool = False


@frozen
class Carries:
    """Looks at the rows have shown, twice, that the driver carries just these orders."""

    order_ids: frozenset[int]


@frozen
class FeedAt:
    """A look at the row: the feed has reached this position."""

    seq: int


@frozen
class Carrying:
    """The driver carries this order now."""

    order_id: int


@frozen
class OfferDied:
    """An offer of this driver can win nothing any more."""

    offer_id: str
    order_id: str
    why: str


@frozen
class OfferSeen:
    """The driver's app shows this offer, or the driver has declined it."""

    offer_id: str


@frozen
class Alive:
    """A sign of life of a driver who counts as unreachable."""


@frozen
class TakeOffline:
    """An operator takes the driver offline."""


@frozen
class SetAvailability:
    status: str


@frozen
class SetDriver:
    """An operator changes the driver; None keeps."""

    zone_id: int | None = None
    capacity: int | None = None


@frozen
class Banned:
    """The account was closed: no session, no offers."""


@frozen
class PositionReported:
    """Where the driver is, give or take `accuracy_m`. `cseq` is the client's counter: an older position never wins.

    `session`: whose counter it is, a socket's address or a login; "" from an instance that does not say.
    """

    place: Place
    cseq: int | None = None
    accuracy_m: float | None = None
    session: str = ""


@frozen
class Connect:
    """A session wants the feed; `resume_seq` is the last position it has, None for a fresh start.

    Of two sessions the one whose handshake came later has the feed, in whatever order they are bound again after the
    actor has moved: the actor gives each a `number` then, and the session brings it from then on. `numbered`: the
    sender understands `Connected`. `again`: it has had its welcome. `opened_ms` is for owners of the version before.
    """

    session: str
    epoch: str | None
    resume_seq: int | None
    opened_ms: int = 0
    again: bool = False
    number: tuple[int, int] | None = None
    numbered: bool = False


class Connected(NamedTuple):
    """The answer to `Connect`: the session's number, the shard's epoch and a serial within it. No clock is in it."""

    epoch: int
    serial: int


@frozen
class Disconnect:
    session: str


@frozen
class DriverView:
    """Answered with the driver as committed and its place."""


@frozen
class DriverSeen:
    """What a driver is, as its actor answers `DriverView`."""

    id: int
    zone_id: int
    name: str
    status: str
    capacity: int
    carrying: tuple[int, ...]
    place: Place | None
    connected: bool
    feed_seq: int
    state: str = ""


# -- to zones -------------------------------------------------------------------------------------


@frozen
class OrderChanged:
    """The order as committed."""

    order: Order


@frozen
class DriverChanged:
    """What the zone must know about a driver."""

    driver_id: int
    online: bool
    capacity: int
    carrying: frozenset[int]
    place: Place | None

    @property
    def free(self) -> int:
        """Slots that are not taken."""
        return max(0, self.capacity - len(self.carrying))


@frozen
class Reconfigured:
    """The zone's settings were changed."""


@frozen
class ShowBoard:
    """An instance has followers of the zone's board, and no board."""


@frozen
class ZoneView:
    """Answered with counts for the status page."""


# -- to watchers ----------------------------------------------------------------------------------


def order_change(order: Order, decision: Decision) -> dict[str, Any]:
    """A change of an order, as a watcher sees it."""
    return {
        "order_id": public_id(ORDER, order.id),
        "version": order.version,
        "status": order.status,
        "event": decision.event,
        "at_ms": order.updated_ms,
        "driver_id": None if order.driver_id is None else public_id("drv", order.driver_id),
        "reason": decision.reason,
    }
