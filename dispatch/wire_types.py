"""Wire types: messages that may travel between instances."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from actors.cluster.codec import Codec
from dispatch import messages as m
from dispatch.domain import commands as c
from dispatch.domain.order import Order

# All others stay on their instance: timers, wakes and results of queries belong to the state that asked.
TRAVELLERS: tuple[type, ...] = (
    # to orders
    m.View, m.Created, m.Watch, m.Unwatch,
    c.Accept, c.Decline, c.PickUp, c.Deliver, c.Fail, c.BringBack, c.ReturnGoods, c.Cancel, c.Release,
    c.Assign, c.SetReady, c.Pay, c.NotePayment, c.Reassign, c.Conclude,
    c.MakeOffers, c.Withdraw, c.GiveUp, c.TellUnclaimed, c.SetEta, c.SetMode,
    # to drivers
    m.OfferSeen, m.Alive, m.TakeOffline,
    m.FeedGrew, m.Carries, m.FeedAt, m.Carrying, m.OfferDied, m.SetAvailability, m.SetDriver, m.Banned,
    m.PositionReported, m.Connect, m.Disconnect, m.DriverView, m.QueuePlaced,
    # to zones
    m.OrderChanged, m.DriverChanged, m.Reconfigured, m.ShowBoard, m.WatchZone, m.UnwatchZone, m.ZoneView,
    # answers
    m.Reply, m.Connected, m.DriverSeen, Order,
)  # fmt: skip

# Sent under the name that the previous version knows. In the next version they can travel under their own.
FORMER_NAMES: Mapping[type, str] = {
    m.PositionReported: "MovedTo", m.OrderChanged: "OrderMoved", m.DriverChanged: "DriverMoved",
}  # fmt: skip


@cache
def travellers() -> Codec:
    """Codec of these messages. Made once: its type adapters are built then."""
    return Codec(TRAVELLERS, FORMER_NAMES)
