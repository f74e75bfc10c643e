"""What may travel between instances."""

from __future__ import annotations

from dispatch import messages as m
from dispatch.domain import commands as c
from dispatch.domain.order import Order

# Anything else stays on its instance: timers, wakes and answers of reads belong to the memory that asked.
TRAVELLERS: tuple[type, ...] = (
    # to orders
    m.View, m.Created, m.Watch, m.Unwatch,
    c.Accept, c.Decline, c.PickUp, c.Deliver, c.Fail, c.Cancel, c.Release, c.Assign, c.SetReady, c.Pay,
    c.NotePayment, c.Reassign, c.Conclude,
    c.MakeOffers, c.Withdraw, c.GiveUp, c.SetMode,
    # to drivers
    m.OfferSeen, m.Alive, m.TakeOffline,
    m.FeedGrew, m.Carries, m.FeedAt, m.Carrying, m.OfferDied, m.SetAvailability, m.SetDriver, m.Banned,
    m.MovedTo, m.Connect, m.Disconnect, m.DriverView,
    # to zones
    m.OrderMoved, m.DriverMoved, m.Reconfigured, m.ShowBoard, m.ZoneView,
    # answers
    m.Reply, m.Connected, m.DriverSeen, Order,
)  # fmt: skip
