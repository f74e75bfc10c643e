"""Messages between actors, and their replies."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NamedTuple

from actors.values import frozen
from dispatch.domain.commands import Decision
from dispatch.domain.geo import Place
from dispatch.domain.ids import ORDER, public_id
from dispatch.domain.order import Order


class Reply(NamedTuple):
    """Reply to a command: `code` is its result, `status` and `version` are the order's.

    Stored as a JSON triple under the command's id.
    """

    code: str
    status: str
    version: int


# -- to orders ------------------------------------------------------------------------------------


@frozen
class View:
    """Asks for the committed order."""


@frozen
class Created:
    """The order was just created. Its row comes along as the seed."""


@frozen
class Watch:
    """Stream the order's changes to this address. The reply is the order, or None above the limit of watchers.

    `user`: the stream's user; 0 from an older version.
    """

    to: str
    user: int = 0


@frozen
class Unwatch:
    to: str


# -- to drivers -----------------------------------------------------------------------------------


class Entry(NamedTuple):
    """Entry of a driver's feed."""

    seq: int
    type: str
    at_ms: int
    trace: str
    data: dict[str, Any]


@frozen
class FeedGrew:
    """A commit has appended this entry; None if its position is not known.

    `took` and `freed`: the order that the driver carries since this commit, or no longer carries; `zone_id`: its zone.
    `alive`: the driver has caused the commit.
    """

    entry: Entry | None
    took: int | None = None
    freed: int | None = None
    zone_id: int = 0
    alive: bool = False


@frozen
class Carries:
    """Two reads of the rows have shown that the driver carries exactly these orders."""

    order_ids: frozenset[int]


@frozen
class FeedAt:
    """A read of the row has shown this feed position."""

    seq: int


@frozen
class Carrying:
    """The driver carries this order now."""

    order_id: int


@frozen
class OfferDied:
    """An offer of this driver has ended."""

    offer_id: str
    order_id: str
    why: str


@frozen
class OfferSeen:
    """The driver's app has shown this offer, or the driver has declined it."""

    offer_id: str


@frozen
class Alive:
    """An unreachable driver has given a sign of life."""


@frozen
class TakeOffline:
    """An operator takes the driver offline."""


@frozen
class SetAvailability:
    """The driver goes online or offline. `shift_ends_ms`: it picks nothing up later; None: it does not say.

    The end is not part of the command's fingerprint.
    """

    status: str
    shift_ends_ms: int | None = field(default=None, repr=False)


@frozen
class SetDriver:
    """An operator changes the driver. None: no change."""

    zone_id: int | None = None
    capacity: int | None = None


@frozen
class Banned:
    """The account was closed: the session ends, and there are no offers."""


@frozen
class PositionReported:
    """Position of the driver, with `accuracy_m`. `cseq` is the client's counter: an older position is ignored.

    `session`: the counter's owner, a socket's address or a login; "" from an older version.
    """

    place: Place
    cseq: int | None = None
    accuracy_m: float | None = None
    session: str = ""


@frozen
class QueuePlaced:
    """The driver's place in the queue of a zone, from 1; None: it has none."""

    zone_id: int
    place: int | None


@frozen
class Connect:
    """Binds a session to the feed. `resume_seq` is its last position; None: a new start.

    Of two sessions, the one with the later handshake has the feed, in whatever order they are bound again after a
    change of owner: at the handshake the actor gives each a `number`, which the session sends from then on. `numbered`:
    the sender understands `Connected`. `again`: the session has had its welcome. `opened_ms` is for owners of the
    previous version.
    """

    session: str
    epoch: str | None
    resume_seq: int | None
    opened_ms: int = 0
    again: bool = False
    number: tuple[int, int] | None = None
    numbered: bool = False


class Connected(NamedTuple):
    """Reply to `Connect`: the session's number, made of the shard's epoch and a serial, without a clock."""

    epoch: int
    serial: int


@frozen
class Disconnect:
    session: str


@frozen
class DriverView:
    """Asks for the committed driver and its place."""


@frozen
class DriverSeen:
    """Reply to `DriverView`."""

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
    queue_place: int | None = None


# -- to zones -------------------------------------------------------------------------------------


@frozen
class OrderChanged:
    """The order as committed."""

    order: Order


@frozen
class DriverChanged:
    """The driver as its zone must know it."""

    driver_id: int
    online: bool
    capacity: int
    carrying: frozenset[int]
    place: Place | None
    shift_ends_ms: int | None = None

    @property
    def free(self) -> int:
        """Number of free slots."""
        return max(0, self.capacity - len(self.carrying))


@frozen
class Reconfigured:
    """The zone's settings have changed."""


@frozen
class ShowBoard:
    """An instance has subscribers of the zone's board, but no board."""


@frozen
class WatchZone:
    """Operators of an instance look at the zone: for a while its ticks go to this address.

    `whole`: what has changed is not enough for them, they need all of it.
    """

    to: str
    whole: bool = False


@frozen
class UnwatchZone:
    """Nobody behind this address looks any more."""

    to: str


@frozen
class ZoneView:
    """Asks for counts for the status page."""


# -- to watchers ----------------------------------------------------------------------------------


def order_change(order: Order, decision: Decision) -> dict[str, Any]:
    """Make the frame of an order's change for its watchers."""
    return {
        "order_id": public_id(ORDER, order.id),
        "version": order.version,
        "status": order.status,
        "event": decision.event,
        "at_ms": order.updated_ms,
        "driver_id": None if order.driver_id is None else public_id("drv", order.driver_id),
        "reason": decision.reason,
    }
