"""Order actors: run the decisions of domain/order_decisions.py, commit them, and tell feeds and zones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any

from actors.behaviour import Commit, Done, Outcome, Step, newest_wins
from actors.dedup import Ring, remember, ring_from
from actors.messages import ActorId, Delivery, Due, Emit, Tell, Turn
from actors.values import frozen
from dispatch import messages as m
from dispatch.domain import refusals as r
from dispatch.domain.commands import (
    Accept,
    Assign,
    BringBack,
    Cancel,
    Conclude,
    Decision,
    Decline,
    Deliver,
    Expire,
    Fail,
    GiveUp,
    MakeOffers,
    NotePayment,
    OrderCommand,
    Pay,
    PickUp,
    Reassign,
    Release,
    ReturnGoods,
    SetEta,
    SetMode,
    SetReady,
    TellUnclaimed,
    Unchanged,
    Withdraw,
)
from dispatch.domain.ids import ORDER, public_id
from dispatch.domain.order import CARRIED, CONFIRMED, TERMINAL, Order, order_from
from dispatch.domain.order_decisions import decide
from dispatch.domain.refusals import Refused

# A finished order is read once more by its customer, seldom later. An open one gets messages all the time.
IDLE_TERMINAL_S = 30.0
IDLE_S = 120.0
# Limit of streams that watch one order: its driver's and operators'. Its customer's are not limited by it.
WATCHERS_MAX = 50
# Limit per user: all devices, and old streams of a phone that changes networks.
WATCHERS_OF_USER_MAX = 8

# Key in the seed of a new order: the order itself, in place of its columns.
MADE = "made"

# What each guard of a commit answers, by its code.
GUARDS = {
    "offline": r.DRIVER_OFFLINE,
    "busy": r.DRIVER_BUSY,
    "elsewhere": r.NOT_OFFERED,
    "conflict": r.ORDER_TAKEN,
    "illegal": r.INVALID_TRANSITION,
}
_COMMANDS = (
    Accept, Assign, BringBack, Cancel, Conclude, Decline, Deliver, Expire, Fail, GiveUp, MakeOffers, NotePayment, Pay,
    PickUp, Reassign, Release, ReturnGoods, SetEta, SetMode, SetReady, TellUnclaimed, Withdraw,
)  # fmt: skip


@frozen
class OrderState:
    """State of an order actor.

    Attributes:
        order: as committed.
        watchers: addresses of the streams that watch it, with their users; volatile.
    """

    order: Order
    watchers: Mapping[str, int] = field(default_factory=dict)

    @property
    def recent(self) -> Ring:
        return self.order.recent


def order_ref(number: int) -> ActorId:
    """The actor of an order."""
    return ActorId("order", number)


def _nobody(order: Order, decision: Decision, trace: str) -> None:
    """Ignore the call."""
    del order, decision, trace


def _uncounted(before: Order, after: Order, decision: Decision) -> None:
    """Ignore the call."""
    del before, after, decision


class OrderBehaviour:
    """Implements actors.behaviour.Behaviour for orders.

    Args:
        told: called after each committed change without a client's command: offers, their end, the payment window's
            end.
        changed: called after each committed change, with the order before and after it.
    """

    kind = "order"
    mailbox_limit = 1024
    supersedes = staticmethod(newest_wins)

    def __init__(
        self,
        told: Callable[[Order, Decision, str], None] = _nobody,
        changed: Callable[[Order, Order, Decision], None] = _uncounted,
    ) -> None:
        self._told = told
        self._changed = changed

    def restore(self, number: int, row: Mapping[str, Any], previous: OrderState | None) -> OrderState:
        del number
        watchers = previous.watchers if previous is not None else {}
        made: Order | None = row.get(MADE)
        return OrderState(made or order_from(row, ring_from(row["recent"])), watchers)

    def activated(self, state: OrderState, turn: Turn) -> Done:
        """Repeat messages that a crash may have prevented. Receivers ignore repetitions."""
        del turn
        order = state.order
        if order.status in TERMINAL:
            return Done()
        tells = [self._to_zone(order)]
        if order.status in CARRIED and order.driver_id is not None:
            tells.append(Tell(ActorId("driver", order.driver_id), m.Carrying(order.id)))
        return Done(tells=tuple(tells), due_ms=order.due_ms)

    def idle_s(self, state: OrderState) -> float | None:
        if state.watchers:
            return None
        return IDLE_TERMINAL_S if state.order.status in TERMINAL else IDLE_S

    def decide(self, state: OrderState, message: object, turn: Turn) -> Step:
        if isinstance(message, m.View):
            return Done(reply=state.order)
        if isinstance(message, m.Created):
            return Done()  # the activation with its seed has told the zone
        if isinstance(message, m.Watch):
            return self._watch(state, message)
        if isinstance(message, m.Unwatch):
            left = {to: user for to, user in state.watchers.items() if to != message.to}
            return Done(state=replace(state, watchers=left))
        if isinstance(message, Due):
            message = Expire(message.at_ms)
        assert isinstance(message, _COMMANDS), message
        return self._command(state, message, turn)

    def _watch(self, state: OrderState, message: m.Watch) -> Step:
        others = [user for to, user in state.watchers.items() if to != message.to]
        is_customer = message.user == state.order.facts.customer_id
        full = len(others) >= WATCHERS_MAX and not is_customer
        if full or (message.user and others.count(message.user) >= WATCHERS_OF_USER_MAX):
            return Done(reply=None)
        return Done(
            state=replace(state, watchers={**state.watchers, message.to: message.user}), reply=state.order
        )

    def _command(self, state: OrderState, message: OrderCommand, turn: Turn) -> Step:
        order = state.order
        decided = decide(order, message, turn.now_ms)
        if isinstance(decided, Refused):
            # The zone acted on an older view: it gets the newest.
            quiet = isinstance(message, MakeOffers | Withdraw | GiveUp | TellUnclaimed)
            return Done(
                reply=m.Reply(decided.code, decided.status, order.version),
                tells=(self._to_zone(order),) if quiet else (),
            )
        if isinstance(decided, Unchanged):
            known = isinstance(message, Expire) and decided.answer == "open"
            return Done(
                reply=m.Reply(decided.answer, order.status, order.version),
                tells=(self._to_zone(order),) if known else (),
            )
        return self._write(state, decided, turn)

    def _write(self, state: OrderState, decision: Decision, turn: Turn) -> Commit:
        order = decision.order
        reply = m.Reply(decision.answer, order.status, order.version)
        if turn.command is not None:
            order = order.remembering(remember(order.recent, turn.command, list(reply)))

        def then(outcome: Outcome) -> Done:
            if not outcome.ok:
                before = state.order
                return Done(reply=m.Reply(GUARDS[outcome.code], before.status, before.version))
            self._changed(state.order, order, decision)
            if turn.command is None:
                self._told(order, decision, turn.trace)
            return Done(
                state=OrderState(order, state.watchers),
                reply=reply,
                tells=self._tells(state.order, order, decision, outcome, turn),
                emits=tuple(
                    Emit(to, Delivery.RELIABLE, m.order_change(order, decision)) for to in state.watchers
                ),
                due_ms=order.due_ms,
            )

        return Commit(_item(state.order, order, decision, turn), then)

    def _tells(
        self, before: Order, order: Order, decision: Decision, outcome: Outcome, turn: Turn
    ) -> tuple[Tell, ...]:
        """Messages after the commit: to drivers with feed entries, to the zone, and to drivers whose offers ended."""
        seqs = outcome.facts.get("seqs")
        took, freed = decision.take, before.driver_id if decision.free else None
        tells = []
        alive = decision.by.role == "driver"
        if decision.event == "declined":
            tells += [
                Tell(ActorId("driver", offer.driver_id), m.OfferSeen(offer.id))
                for offer in before.offers
                if offer not in order.offers
            ]
        for index, entry in enumerate(decision.feed):
            number = entry.driver_id
            # Without the commit's answer the position is not known: the driver's actor reads its log.
            at = (
                None
                if seqs is None
                else m.Entry(seqs[index], entry.type, turn.now_ms, turn.trace, entry.data)
            )
            carries = order.id if took == number else None
            lets_go = order.id if freed == number else None
            tells.append(
                Tell(ActorId("driver", number), m.FeedGrew(at, carries, lets_go, order.facts.zone_id, alive))
            )
        tells += [
            Tell(ActorId("driver", driver), m.OfferDied(offer, public_id(ORDER, order.id), decision.why))
            for driver, offer in decision.revoked
        ]
        if (
            CONFIRMED in (before.status, order.status)
            or before.driver_id != order.driver_id
            # The zone predicts when its driver will be free.
            or before.status != order.status
            or before.ready != order.ready
            or before.returning_ms != order.returning_ms
            or decision.event == "eta_changed"
        ):
            tells.append(self._to_zone(order))
        return tuple(tells)

    @staticmethod
    def _to_zone(order: Order) -> Tell:
        return Tell(ActorId("zone", order.facts.zone_id), m.OrderChanged(order))


def _item(before: Order, order: Order, decision: Decision, turn: Turn) -> dict[str, Any]:
    """Make the journal item; see storage/postgres/functions/flush.sql."""
    return {
        "kind": "order",
        "id": order.id,
        "version": before.version,
        "status": order.status,
        "at_ms": turn.now_ms,
        "recent": order.recent,
        "driver": order.driver_id,
        "round": order.round,
        "mode": order.mode,
        "search": order.search(),
        "due_ms": order.due_ms,
        "ready_ms": order.ready_ms,
        "ready_each": list(order.ready) if len(order.ready) > 1 else None,
        "event": decision.event,
        "role": decision.by.role,
        "actor": decision.by.id,
        "reason": decision.reason,
        "trace": turn.trace,
        "data": decision.data or None,
        "feed": [{"driver": e.driver_id, "type": e.type, "data": e.data} for e in decision.feed] or None,
        "take": decision.take,
        "zone": decision.zone_id,
        "free": decision.free,
        "restock": decision.restock,
    }
