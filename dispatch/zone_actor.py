"""Zone actors: match a zone's open orders with its free drivers, and show its board.

A zone commits nothing: offers are part of their orders. Its picture of orders and drivers is compared with the rows at
activation and every 15 s, so a lost message costs seconds, never an order. The comparison reads numbers and versions,
and then only orders that differ, in slices (5,000 open orders at once took 350 ms of the loop's time). No commit can
fail here, so the state is changed in place.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from actors.behaviour import Done, Step, newest_wins
from actors.dedup import ring_from
from actors.messages import ActorId, Delivery, Emit, Query, QueryAnswer, QueryFailed, Tell, Turn, Wake
from dispatch import feed_frames, zone_ladder, zone_planning, zone_watching
from dispatch import messages as m
from dispatch.domain.commands import MakeOffers, SetMode
from dispatch.domain.geo import Place
from dispatch.domain.matching import OpenOrder, Proposal, plan
from dispatch.domain.offer_ladder import RungPlace
from dispatch.domain.order import CARRIED, CONFIRMED, OPEN, TERMINAL, WAVES, Order, order_from
from dispatch.domain.planning import PlanResult
from dispatch.step_inputs import StepInput
from dispatch.zone_expiry import PROPOSED_MS, given_up, withdrawals
from dispatch.zone_predictions import eta_changes
from dispatch.zone_state import ZoneState, within

TICK_S = 1.0
TICK = "tick"
REBUILD_MS = 15_000
# What is learned for a zone comes with its settings, which are read again after this time.
SETTINGS_MS = 300_000
# Changes within this time are matched together.
PLAN_GAP_MS = 20
# When all drivers had an offer without success, they get another one after this time.
REPEAT_MS = 5_000
BOARD_GAP_MS = 500
BOARD_ORDERS_MAX = 50
# Orders that one query reads.
SLICE = 250


def zone_ref(number: int) -> ActorId:
    """The actor of a zone."""
    return ActorId("zone", number)


class ZoneBehaviour:
    """Implements actors.behaviour.Behaviour for zones.

    Args:
        first_offer: called once for each order, with the seconds from when a driver could be asked for it to its first
            offer, or, where trips are planned, to its place in a plan.
        stepped: called with the input of each step that led to offers. It must not wait, nor fail.
        saved: called with a zone's number and the metres that a trip has saved, at each delivery after its first.
    """

    kind = "zone"
    # After a takeover, all orders and drivers of a mall may send messages at once.
    mailbox_limit = 100_000
    supersedes = staticmethod(newest_wins)

    def __init__(
        self,
        first_offer: Callable[[float], None] = lambda _: None,
        stepped: Callable[[StepInput], None] = lambda _: None,
        saved: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self._first_offer = first_offer
        self._stepped = stepped
        self._saved = saved

    def restore(self, number: int, row: Mapping[str, Any], previous: ZoneState | None) -> ZoneState:
        state = previous or ZoneState(number, WAVES)
        state.set(row)
        return state

    def activated(self, state: ZoneState, turn: Turn) -> Done:
        state.manned, state.settings_ms = False, turn.now_ms
        if state.plan is not None:
            self._saved(state.id, 0.0)  # so that an increase is seen from the first one
        return Done(queries=self._ask_picture(state, turn), wake_s=TICK_S, wake=TICK)

    def idle_s(self, state: ZoneState) -> float | None:
        del state
        return None

    def decide(self, state: ZoneState, message: object, turn: Turn) -> Step:
        match message:
            case m.OrderChanged(order=order):
                return self._order_changed(state, order, turn)
            case m.DriverChanged():
                return self._driver_changed(state, message, turn)
            case Wake(tag=tag):
                return self._tick(state, turn) if tag == TICK else self._plan_now(state, turn)
            case QueryFailed(query=query):
                return self._unanswered(state, query)
            case m.Reconfigured():
                return Done(queries=(self._ask_settings(state, turn),))
            case QueryAnswer(query=Query(tag="settings")):
                return self._reconfigure(state, message.result, turn)
            case QueryAnswer(query=Query(tag="orders")):
                return self._compare_orders(state, message.result, turn)
            case QueryAnswer(query=Query(tag="carried")):
                return self._compare_carried(state, message.result)
            case QueryAnswer(query=Query(tag=zone_planning.STEP)):
                return self._planned(state, message, turn)
            case QueryAnswer(query=Query(tag="drivers")):
                return self._compare_drivers(state, message.result, turn)
            case QueryAnswer(query=Query(tag="whole")):
                return self._fill(state, message.result, turn)
            case m.ShowBoard():
                state.board_dirty = True
                return self._act(state, turn)
            case m.ZoneView():
                return Done(reply={"open_orders": len(state.orders), "online_drivers": len(state.drivers)})
            case _:
                return zone_watching.turn(state, message, turn.now_ms)

    # -- the picture --------------------------------------------------------------------------

    def _order_changed(self, state: ZoneState, order: Order, turn: Turn) -> Done:
        state.touched.add(order.id)
        known = state.known(order.id)
        if known is not None and known.version >= order.version:
            return Done()  # repeated, or late
        return self._take_over(state, order, turn)

    def _take_over(self, state: ZoneState, order: Order, turn: Turn) -> Done:
        """Take in the newest version of an order."""
        state.proposed.pop(order.id, None)
        state.board_dirty = True
        if self._is_scheduled(state, order, turn):
            state.traces[order.id] = turn.trace
            return self._act(state, turn)
        self._note(state, order, turn.now_ms)
        if order.offer_count:
            self._asked(state, order.id, turn.now_ms)
        elif order.mode == WAVES:
            state.unasked.opened(order.id, order.looking_since_ms)
        if order.status != CONFIRMED:
            self._taken(state, order, turn.now_ms)
            state.dismiss(order.id)
            return self._act(state, turn)
        state.admit(order)
        state.traces[order.id] = turn.trace
        if not state.has_place_for(order.mode):
            return Done(tells=(Tell(ActorId("order", order.id), SetMode(state.mode)),))
        return self._act(state, turn)

    @staticmethod
    def _is_scheduled(state: ZoneState, order: Order, turn: Turn) -> bool:
        """True for an order that no driver is asked for yet; it is kept until then."""
        if order.status != CONFIRMED or order.offers or order.opens_ms <= turn.now_ms:
            return False
        if state.plan is not None:
            state.plan.drop(order.id)
        state.schedule(order)
        if state.live is not None:
            state.live.order_vanished(order.id)
        return True

    def _open(self, state: ZoneState, order: Order, now_ms: int) -> tuple[Tell, ...]:
        """Take in an order whose wait for a driver was not followed here."""
        self._note(state, order, now_ms)
        state.admit(order)
        if not order.offer_count and order.mode == WAVES:
            state.unasked.opened(order.id, now_ms)
        if not state.has_place_for(order.mode):
            return (Tell(ActorId("order", order.id), SetMode(state.mode)),)
        return ()

    def _note(self, state: ZoneState, order: Order, now_ms: int) -> None:
        """Tell the planner's memory, and who looks, of an order's change."""
        if state.live is not None:
            state.live.order_changed(order)
        plan = state.plan
        if plan is None:
            return
        known = state.orders.get(order.id)
        plan.answered(known, order, now_ms)
        if order.status in CARRIED:
            plan.carry(order)
        elif order.status in TERMINAL:
            saved_m = plan.end(order)
            if saved_m:
                self._saved(state.id, saved_m)
        else:
            plan.drop(order.id)
            if known is None:
                plan.order_opened(order, now_ms)

    def _asked(self, state: ZoneState, number: int, now_ms: int) -> None:
        """Somebody is asked for an order, or the planner knows who will be."""
        waited_s = state.unasked.asked(number, now_ms)
        if waited_s is not None:
            self._first_offer(waited_s)

    @staticmethod
    def _taken(state: ZoneState, order: Order, now_ms: int) -> None:
        """Take the winner's slot at once: its own actor's message may come after the next matching."""
        driver = state.drivers.get(order.driver_id or 0) if state.mode == WAVES else None
        if driver is not None and order.status in CARRIED:
            state.seat(replace(driver, carrying=driver.carrying | {order.id}), now_ms)

    def _driver_changed(self, state: ZoneState, driver: m.DriverChanged, turn: Turn) -> Done:
        state.met.add(driver.driver_id)
        known = state.drivers.get(driver.driver_id)
        if not driver.online:
            state.unseat(driver.driver_id)
            return Done() if known is None else self._act(state, turn)
        if driver != known:
            state.seat(driver, turn.now_ms)
            # Where it was picked up or delivered may be newer than a place that is only told again.
            if state.plan is not None and (known is None or driver.place != known.place):
                state.plan.located(driver.driver_id, driver.place, turn.now_ms)
        if known is None or driver.free > known.free:
            return self._act(state, turn)
        if driver.free < known.free:
            state.suspects.add(driver.driver_id)
        return Done()

    def _ask_picture(self, state: ZoneState, turn: Turn) -> tuple[Query, ...]:
        state.rebuilt_ms = turn.now_ms
        # Places are told again, too: a driver's actor forgets its own when its owner changes.
        state.queue.told = dict.fromkeys(state.queue.told, 0)
        # Also send the board again: an instance may have missed it.
        state.board_dirty = True
        state.touched.clear()
        state.met.clear()
        orders = Query("zone_orders", (state.id,), tag="orders")
        drivers = Query("zone_drivers", (state.id,), tag="drivers")
        live = zone_watching.ask_again(state)
        if state.plan is None:
            return orders, drivers, *live
        return orders, drivers, *live, Query("zone_carried", (state.id,), tag="carried")

    def _compare_orders(self, state: ZoneState, rows: Sequence[Any], turn: Turn) -> Done:
        """Compare the picture with the rows of open orders, except orders with news since the query."""
        there = {row[0]: row[1] for row in rows}
        known = ChainMap(state.orders, state.scheduled)
        for number in [n for n in known if n not in there and n not in state.touched]:
            state.dismiss(number)
            state.board_dirty = True
            if state.live is not None:
                state.live.order_vanished(number)
        done = self._act(state, turn)
        return replace(done, queries=(*done.queries, *self._load_newer(state, there, known)))

    @staticmethod
    def _load_newer(
        state: ZoneState, there: Mapping[int, int], known: Mapping[int, Order]
    ) -> tuple[Query, ...]:
        """Read whole what is missing or outdated here, except orders with news since the query."""
        wanted = [
            number
            for number, version in there.items()
            if number not in state.touched and (number not in known or known[number].version < version)
        ]
        return tuple(
            Query("load_orders", (wanted[at : at + SLICE],), tag="whole")
            for at in range(0, len(wanted), SLICE)
        )

    def _compare_carried(self, state: ZoneState, rows: Sequence[Any]) -> Done:
        """Compare what drivers carry with the rows."""
        if state.plan is None:
            return Done()
        there = {row[0]: row[1] for row in rows}
        for number in [n for n in state.plan.carried if n not in there and n not in state.touched]:
            state.plan.drop(number)
        return Done(queries=self._load_newer(state, there, state.plan.carried))

    def _fill(self, state: ZoneState, rows: Sequence[Any], turn: Turn) -> Done:
        """Take in orders that were missing or outdated."""
        tells: list[Tell] = []
        for row in rows:
            order = order_from(row, ring_from(row["recent"]))
            known = state.known(order.id)
            if order.id in state.touched or (known is not None and known.version >= order.version):
                continue
            if self._is_scheduled(state, order, turn):
                continue
            if order.status == CONFIRMED:
                tells += self._open(state, order, turn.now_ms)
            else:
                self._note(state, order, turn.now_ms)
                state.dismiss(order.id)
        state.board_dirty = True
        done = self._act(state, turn)
        return replace(done, tells=(*tells, *done.tells))

    def _compare_drivers(self, state: ZoneState, rows: Sequence[Any], turn: Turn) -> Done:
        """Compare the picture with the rows of drivers. Places in memory are newer than the rows."""
        there = set()
        for number, lat, lon, capacity, carried, shift_ends_ms in rows:
            there.add(number)
            known = state.drivers.get(number)
            same = known is not None and (known.capacity, known.carrying, known.shift_ends_ms) == (
                capacity, frozenset(carried), shift_ends_ms,
            )  # fmt: skip
            if same or number in state.met:
                continue
            place = None if lat is None else Place(lat, lon)
            if known is not None and known.place is not None:
                place = known.place
            seen = m.DriverChanged(number, True, capacity, frozenset(carried), place, shift_ends_ms)
            state.seat(seen, turn.now_ms)
            if state.plan is not None:
                state.plan.located(number, place, turn.now_ms)
        for number in [n for n in state.drivers if n not in there and n not in state.met]:
            state.unseat(number)
        if not state.manned and state.queue.fence is not None:
            # The owner before may have told them places that they do not have any more.
            state.queue.told = dict.fromkeys(state.drivers, 0)
        state.manned = True
        return self._act(state, turn)

    def _reconfigure(self, state: ZoneState, rows: Any, turn: Turn) -> Done:
        row = rows[0]
        shown = state.shows_board
        state.set(row)
        closing = shown and not state.shows_board
        state.board_dirty = True
        empty = Emit(
            feed_frames.board_topic(state.id), Delivery.TOPIC, feed_frames.board(state.id, [], 0), "board"
        )
        wrong = [n for n, order in state.orders.items() if not state.has_place_for(order.mode)]
        switch = tuple(Tell(ActorId("order", number), SetMode(state.mode)) for number in wrong)
        queries = self._ask_picture(state, turn)
        return Done(tells=switch, queries=queries, emits=(empty,) if closing else ())

    # -- acting -------------------------------------------------------------------------------

    @staticmethod
    def _ask_settings(state: ZoneState, turn: Turn) -> Query:
        state.settings_due, state.settings_ms = False, turn.now_ms
        return Query("load_zones", ([state.id],), tag="settings")

    @staticmethod
    def _unanswered(state: ZoneState, query: Query) -> Done:
        """A query that failed: settings are asked for again, and a step is made again with the next second."""
        state.settings_due = state.settings_due or query.tag == "settings"
        zone_watching.unanswered(state, query)
        if state.plan is not None and query.tag == zone_planning.STEP:
            state.plan.asked_ms = None
        return Done()

    def _planned(self, state: ZoneState, answer: QueryAnswer, turn: Turn) -> Done:
        """Make offers of what a step proposes. If something has happened meanwhile, the next step follows."""
        plan = state.plan
        if plan is None:
            return Done()
        result: PlanResult = answer.result
        plan.asked_ms = plan.wanted_ms = None
        for number in (number for route in result.routes for trip in route.trips for number in trip):
            self._asked(state, number, turn.now_ms)
        state.unasked.nobody(result.unplanned, turn.now_ms)
        tells = zone_planning.planned(state, plan, answer, turn.now_ms)
        if tells:
            self._stepped(zone_planning.input_of(state, answer.query))
        done = self._act(state, turn) if plan.due else Done()
        return replace(done, tells=(*tells, *done.tells))

    def _plan_now(self, state: ZoneState, turn: Turn) -> Done:
        state.waking = False
        return self._act(state, turn, now=True)

    def _tick(self, state: ZoneState, turn: Turn) -> Done:
        """Do the work of each second: match again, compare with the rows, end hopeless searches."""
        opened = [
            tell for order in state.opened(turn.now_ms) for tell in self._open(state, order, turn.now_ms)
        ]
        done = self._act(state, turn, now=True, everybody=True)
        queries = done.queries
        etas: list[Tell] = []
        if not within(turn.now_ms, state.rebuilt_ms, REBUILD_MS):
            queries = (*queries, *self._ask_picture(state, turn))
            etas = [] if state.plan is None else eta_changes(state.plan, turn.now_ms)
        if state.settings_due or abs(turn.now_ms - state.settings_ms) >= SETTINGS_MS:
            queries = (*queries, self._ask_settings(state, turn))
        tells = (
            *opened, *done.tells, *etas, *given_up(state, turn.now_ms), *self._queue_places(state, turn.now_ms),
        )  # fmt: skip
        emits = (*done.emits, *zone_watching.ticks(state, turn.now_ms))
        return Done(tells=tells, emits=emits, queries=queries, wake_s=TICK_S, wake=TICK)

    @staticmethod
    def _queue_places(state: ZoneState, now_ms: int) -> list[Tell]:
        """Tell drivers their places in the queue, where they have changed."""
        for number in state.queue.overdue(now_ms):
            state.place(state.drivers[number])
        return [
            Tell(ActorId("driver", number), m.QueuePlaced(state.id, place), latest="queue")
            for number, place in state.queue.news()
        ]

    def _act(self, state: ZoneState, turn: Turn, *, now: bool = False, everybody: bool = False) -> Done:
        """Match or show the board; if that was done a moment ago, do so later."""
        if state.plan is not None:
            state.plan.due, gap = True, zone_planning.STEP_GAP_MS
        else:
            gap = PLAN_GAP_MS if state.mode == WAVES else BOARD_GAP_MS
        last = state.planned_ms if state.mode == WAVES else state.board_ms
        if not now and within(turn.now_ms, last, gap):
            if state.waking:
                return Done()
            state.waking = True
            return Done(wake_s=gap / 1000, wake="plan")
        if state.mode == OPEN:
            state.suspects.clear()  # there are no offers in this mode
            return Done(emits=self._board(state, turn))
        state.planned_ms = turn.now_ms
        ends = withdrawals(state, turn.now_ms, everybody=everybody)
        left = zone_ladder.for_the_nearest(state, turn.now_ms)
        tells = (*ends, *self._nearest(state, left, turn))
        if state.plan is None:
            return Done(tells=tells)
        if not state.drivers:
            state.unasked.nobody(state.orders, turn.now_ms)
        step = zone_planning.step_of(state, state.plan, turn.now_ms)
        tells += (
            *zone_ladder.for_the_board(state, turn.now_ms),
            *zone_ladder.beyond_the_end(state, turn.now_ms),
        )
        emits: tuple[Emit, ...] = ()
        if state.ladder.has_board and not within(turn.now_ms, state.board_ms, BOARD_GAP_MS):
            emits = self._board(state, turn)
        return Done(tells=tells, queries=() if step is None else (step,), emits=emits)

    def _board(self, state: ZoneState, turn: Turn) -> tuple[Emit, ...]:
        if not state.board_dirty:
            return ()
        state.board_dirty, state.board_ms = False, turn.now_ms
        return (Emit(feed_frames.board_topic(state.id), Delivery.TOPIC, partial(self._show, state), "board"),)

    @staticmethod
    def _show(state: ZoneState) -> dict[str, Any]:
        """Make the board. Entries of unchanged orders are reused."""
        before, state.shown = state.shown, {}
        orders, total = state.on_board(BOARD_ORDERS_MAX)
        for order in orders:
            known = before.get(order.id)
            if known is None or known[0] != order.version:
                known = order.version, feed_frames.board_entry(order)
            state.shown[order.id] = known
        return feed_frames.board(state.id, [entry for _, entry in state.shown.values()], total)

    @staticmethod
    def _nearest(state: ZoneState, waiting: Sequence[tuple[Order, RungPlace]], turn: Turn) -> list[Tell]:
        """Offers of these orders to the nearest drivers, each as its rung says."""
        now = turn.now_ms
        if not len(state.fleet) or not waiting:
            state.unasked.nobody((order.id for order, _ in waiting), now)
            return []
        offered = Counter(x.driver_id for o in state.orders.values() for x in o.offers if x.expires_ms > now)
        for at_ms, asked in state.proposed.values():
            if within(now, at_ms, PROPOSED_MS):
                offered.update(asked)
        by_rung: dict[RungPlace, list[Order]] = {}
        for order, place in waiting:
            by_rung.setdefault(place, []).append(order)
        tells = []
        for place, orders in by_rung.items():
            proposals = plan(
                (_open_order(o, now, state.pause_ms) for o in orders),
                state.fleet,
                place.rung.drivers,
                offered=offered,
                reach_m=place.rung.reach_m,
            )
            for proposal in proposals:
                number = proposal.order.id
                offered.update(proposal.driver_ids)
                state.proposed[number] = (now, proposal.driver_ids)
                offers = _offers(proposal, place)
                tells.append(Tell(ActorId("order", number), offers, trace=state.traces.get(number)))
        found = {tell.to.number for tell in tells}
        state.unasked.nobody((order.id for order, _ in waiting if order.id not in found), now)
        return tells


def _open_order(order: Order, now_ms: int, pause_ms: int) -> OpenOrder:
    return OpenOrder(
        order.id,
        order.facts.first.place,
        order.facts.created_ms,
        order.round,
        order.wave,
        frozenset((*order.tried, *(x.driver_id for x in order.offers))),
        may_repeat=not within(now_ms, order.updated_ms, REPEAT_MS),
        released=frozenset(n for n, at_ms in order.released if within(now_ms, at_ms, pause_ms)),
    )


def _offers(proposal: Proposal, place: RungPlace) -> MakeOffers:
    reasons = {
        "distances_m": list(proposal.distances_m),
        "again": proposal.again,
        "rung": place.shown(),
    }
    order = proposal.order
    return MakeOffers(order.round, order.wave, proposal.driver_ids, place.rung.offer_s * 1000, reasons)
