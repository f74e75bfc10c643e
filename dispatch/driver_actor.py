"""Driver actors: availability, place, carried orders, and the feed.

Only this actor emits to the driver's feed. Commits of order actors append entries to the log and send `FeedGrew`. The
next entry in order is sent from the message; a gap is read from the log first. So a session gets each position once and
in order, whatever messages were lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from actors.behaviour import Commit, Done, Outcome, Step
from actors.dedup import remember, ring_from
from actors.messages import ActorId, Delivery, Emit, Query, QueryAnswer, QueryFailed, Tell, Turn, Wake
from dispatch import feed_frames
from dispatch import messages as m
from dispatch.domain.driver import OFFLINE, ONLINE, UNREACHABLE, driver_from
from dispatch.domain.geo import Place
from dispatch.domain.liveness import UNSEEN_MAX
from dispatch.domain.order import order_from
from dispatch.driver_liveness import GRACE, also, emitting, is_sign, without_session
from dispatch.driver_state import DriverState, entry_from, item_of, seen_of, supersedes
from dispatch.feed_tail import Tail, contiguous

IDLE_S = 120.0
# Marks a field that stays as it is, where None is a value.
KEEP: Any = object()
# Limit of entries read to close a gap. A client that missed more gets a snapshot.
REPLAY_MAX = 200


def driver_ref(number: int) -> ActorId:
    """The actor of a driver."""
    return ActorId("driver", number)


def _uncounted(why: str) -> None:
    del why


class DriverBehaviour:
    """Implements actors.behaviour.Behaviour for drivers.

    `doubted` is called with the reason when a fix is rejected.
    """

    kind = "driver"
    mailbox_limit = 256
    supersedes = staticmethod(supersedes)

    def __init__(self, feed_epoch: str, doubted: Callable[[str], None] = _uncounted) -> None:
        self._epoch = feed_epoch
        self._doubted = doubted

    def restore(self, number: int, row: Mapping[str, Any], previous: DriverState | None) -> DriverState:
        del number
        driver = driver_from(row, ring_from(row["recent"]))
        if previous is not None:
            # After a reload the session stays; activated() reads missed entries from the log.
            return replace(previous, driver=driver, reading=False)
        place = None if row["lat"] is None else Place(row["lat"], row["lon"])
        return DriverState(driver, last_seq=row["feed_seq"], place=place)

    def activated(self, state: DriverState, turn: Turn) -> Done:
        queries = (self._read_after(state),) if state.session is not None else ()
        left_ms = state.signs.grace_left_ms(turn.now_ms)
        return Done(
            state=replace(state, reading=bool(queries)),
            tells=(self._to_zone(state),),
            queries=queries,
            wake_s=None if left_ms is None else left_ms / 1000,
            wake=GRACE,
        )

    def idle_s(self, state: DriverState) -> float | None:
        return None if state.session is not None else IDLE_S

    def decide(self, state: DriverState, message: object, turn: Turn) -> Step:
        if isinstance(message, m.FeedGrew):  # most messages are of this type
            step: Step = self._grew(state, message)
        else:
            step = self._turn(state, message, turn)
        if state.session is not None and isinstance(step, Done) and step.state is not None:
            step = without_session(step, turn)
        if state.driver.unreachable_ms is not None and state.driver.state == UNREACHABLE and is_sign(message):
            step = also(step, Tell(driver_ref(state.driver.id), m.Alive(), latest="alive"))
        return step

    def _turn(self, state: DriverState, message: object, turn: Turn) -> Step:
        match message:
            case m.PositionReported():
                return self._moved(state, message, turn.now_ms)
            case m.QueuePlaced():
                return self._queued(state, message)
            case m.OfferSeen(offer_id=offer_id):
                return Done(state=replace(state, signs=state.signs.looked_at(offer_id)))
            case Wake() | m.Alive() | m.TakeOffline():
                return self._reach(state, message, turn)
            case m.Carrying(order_id=order_id):
                return self._carry(state, state.driver.carrying | {order_id})
            case m.Carries(order_ids=order_ids):
                return self._carry(state, order_ids)
            case m.SetAvailability(status=status, shift_ends_ms=ends_ms):
                return self._set(
                    state, turn, f"now_{status}", status=status, unreachable_ms=None, shift_ends_ms=ends_ms
                )
            case m.SetDriver(zone_id=zone_id, capacity=capacity):
                return self._set(state, turn, "changed", zone_id=zone_id, capacity=capacity)
            case m.Banned():
                return self._ban(state, turn)
            case m.DriverView():
                return Done(reply=seen_of(state))
            case _:
                return self._feed(state, message, turn)

    def _feed(self, state: DriverState, message: object, turn: Turn) -> Step:
        match message:
            case m.FeedAt(seq=seq):
                return self._catch_up(state) if seq > state.last_seq else Done()
            case QueryAnswer():
                return self._answered(state, message, turn)
            case QueryFailed():
                return self._unanswered(state, message)
            case m.OfferDied(why="expired"):
                return self._passed(state, message, turn)
            case m.OfferDied():
                return Done(
                    emits=self._latest(state, f"offer:{message.offer_id}", feed_frames.revoked(message))
                )
            case m.Connect():
                here = replace(state, signs=replace(state.signs, gone_ms=None))
                return self._connect(here, message, turn)
            case m.Disconnect(session=session):
                gone = session == state.session
                return Done(state=replace(state, session=None, joining=False) if gone else None)
            case _:
                raise AssertionError(message)

    # -- what the driver is -------------------------------------------------------------------

    def _reach(self, state: DriverState, message: Wake | m.Alive | m.TakeOffline, turn: Turn) -> Step:
        """Handle changes of reachability: a timer, a sign of life, an operator."""
        match message:
            case m.Alive():
                heard = replace(state, signs=replace(state.signs, unseen=0))
                return self._set(heard, turn, "alive", unreachable_ms=None, show=True)
            case m.TakeOffline():
                return self._set(state, turn, "now_offline", status=OFFLINE, unreachable_ms=None, show=True)
            case Wake():
                left_ms = state.signs.grace_left_ms(turn.now_ms)
                if left_ms is None or state.driver.state != ONLINE:
                    return Done()
                if left_ms > 0:
                    return Done(wake_s=left_ms / 1000, wake=GRACE)
                return self._set(state, turn, UNREACHABLE, unreachable_ms=turn.now_ms, show=True)

    def _passed(self, state: DriverState, died: m.OfferDied, turn: Turn) -> Step:
        """Handle an expired offer. After two in a row that were not shown, the driver is unreachable."""
        passed = replace(state, signs=state.signs.passed(died.offer_id))
        emits = self._latest(state, f"offer:{died.offer_id}", feed_frames.revoked(died))
        if passed.signs.unseen < UNSEEN_MAX or passed.driver.state != ONLINE:
            return Done(state=passed, emits=emits)
        return emitting(self._set(passed, turn, UNREACHABLE, unreachable_ms=turn.now_ms, show=True), emits)

    def _moved(self, state: DriverState, message: m.PositionReported, now_ms: int) -> Step:
        if state.counted.is_newer(message, now_ms):
            return Done()
        counted = state.counted.with_(message, now_ms)
        track, doubt = state.track.judge(state.place, message.place, message.accuracy_m, now_ms)
        if doubt is not None:
            self._doubted(doubt)
            return Done(state=state.at(state.place, counted, track))
        next_state = state.at(message.place, counted, track)
        return Done(state=next_state, tells=(self._to_zone(next_state),))

    def _queued(self, state: DriverState, placed: m.QueuePlaced) -> Step:
        """Show the driver its place in the queue, once for each change."""
        if placed.zone_id != state.driver.zone_id or placed.place == state.queue_place:
            return Done()
        next_state = replace(state, queue_place=placed.place)
        return Done(state=next_state, emits=self._latest(state, "queue", feed_frames.queue(placed.place)))

    def _carry(self, state: DriverState, carrying: frozenset[int]) -> Step:
        if carrying == state.driver.carrying:
            return Done()
        next_state = state.with_driver(state.driver.loaded_with(carrying))
        return Done(state=next_state, tells=(self._to_zone(next_state),))

    def _set(
        self,
        state: DriverState,
        turn: Turn,
        answer: str,
        *,
        status: str | None = None,
        zone_id: int | None = None,
        capacity: int | None = None,
        unreachable_ms: int | None = KEEP,
        shift_ends_ms: int | None = KEEP,
        show: bool = False,
    ) -> Step:
        """Change the driver's row; without a change there is no commit. `show`: send the app its availability."""
        old = state.driver
        new = replace(
            old,
            status=status or old.status,
            zone_id=zone_id or old.zone_id,
            capacity=capacity or old.capacity,
            unreachable_ms=old.unreachable_ms if unreachable_ms is KEEP else unreachable_ms,
            shift_ends_ms=old.shift_ends_ms if shift_ends_ms is KEEP else shift_ends_ms,
        )
        if new == old:
            reply = m.Reply(answer, old.status, old.version)
            return Done(state=state, reply=reply, tells=(self._to_zone(state),))
        reply = m.Reply(answer, new.status, old.version + 1)
        recent = remember(old.recent, turn.command, list(reply))
        new = replace(new, version=old.version + 1, recent=recent)

        def then(outcome: Outcome) -> Done:
            assert outcome.ok, outcome
            next_state = replace(state, driver=new)
            if old.zone_id != new.zone_id:
                next_state = replace(next_state, queue_place=None)
            tells = [self._to_zone(next_state)]
            if old.zone_id != new.zone_id:
                gone = m.DriverChanged(old.id, False, 0, frozenset(), None)
                tells.append(Tell(ActorId("zone", old.zone_id), gone, latest=f"driver:{old.id}"))
            emits = (
                ()
                if old.zone_id == new.zone_id
                else self._latest(next_state, "zone", feed_frames.zone(new.zone_id))
            )
            if show:
                emits = self._latest(next_state, "availability", feed_frames.availability(new))
            return Done(state=next_state, reply=reply, tells=tuple(tells), emits=emits)

        return Commit(item_of(new, old.version), then)

    def _ban(self, state: DriverState, turn: Turn) -> Step:
        step = self._set(state, turn, "banned", status=OFFLINE, unreachable_ms=None)
        close = () if state.session is None else (Emit(state.session, Delivery.CLOSE, feed_frames.DISABLED),)
        return emitting(step, close)

    def _to_zone(self, state: DriverState) -> Tell:
        d = state.driver
        changed = m.DriverChanged(
            d.id, d.state == ONLINE, d.capacity, d.carrying, state.place, d.shift_ends_ms
        )
        return Tell(ActorId("zone", d.zone_id), changed, latest=f"driver:{d.id}")

    # -- the feed -----------------------------------------------------------------------------

    def _latest(self, state: DriverState, topic: str, frame: dict[str, Any]) -> tuple[Emit, ...]:
        if state.session is None or state.joining:
            return ()
        return (Emit(state.session, Delivery.LATEST, frame, topic),)

    def _grew(self, state: DriverState, grew: m.FeedGrew) -> Step:
        """Handle a commit that changed the driver's carried orders or its feed."""
        entry, carrying = grew.entry, state.driver.carrying
        if grew.alive and state.signs.unseen:
            state = replace(state, signs=replace(state.signs, unseen=0))
        if grew.took is not None and grew.took not in carrying:
            carrying |= {grew.took}
        if grew.freed in carrying:
            carrying -= {grew.freed}
        tells: tuple[Tell, ...] = ()
        if carrying is not state.driver.carrying:
            state = state.with_driver(state.driver.loaded_with(carrying))
            # If the order is of the driver's zone, the order's actor tells the zone.
            known = grew.freed is None and grew.zone_id == state.driver.zone_id
            tells = () if known else (self._to_zone(state),)
        if entry is not None and entry.seq == state.last_seq + 1:
            return self._append(state, (entry,), tells)
        if entry is not None and entry.seq <= state.last_seq:
            return Done(state=state, tells=tells)
        done = self._catch_up(state)
        return replace(done, state=done.state or state, tells=tells)

    def _append(self, state: DriverState, entries: tuple[m.Entry, ...], tells: tuple[Tell, ...] = ()) -> Done:
        """Append entries that follow last_seq without a gap, and send them to a live session."""
        next_state = state.grown(entries)
        if state.session is None or state.joining:
            return Done(state=next_state, tells=tells)
        emits = tuple([Emit(state.session, Delivery.RELIABLE, feed_frames.event(entry)) for entry in entries])
        return Done(state=next_state, tells=tells, emits=emits)

    def _read_after(self, state: DriverState) -> Query:
        return Query("feed_after", (state.driver.id, state.last_seq, REPLAY_MAX), tag="gap")

    def _catch_up(self, state: DriverState) -> Done:
        if state.reading:
            return Done()
        return Done(state=replace(state, reading=True), queries=(self._read_after(state),))

    def _answered(self, state: DriverState, answer: QueryAnswer, turn: Turn) -> Step:
        tag = answer.query.tag
        if tag == "gap":
            return self._gap_read(state, answer)
        if not (isinstance(tag, tuple) and tag[1] == state.session and state.joining):
            return Done()  # the session that asked is gone
        if tag[0] == "replay":
            return self._replay_read(state, answer)
        return self._snapshot_read(state, answer.result, turn.now_ms)

    def _unanswered(self, state: DriverState, failed: QueryFailed) -> Step:
        """Handle a failed read of the log: the next message tries again; a waiting session is closed."""
        tag = failed.query.tag
        if tag == "gap":
            return Done(state=replace(state, reading=False))
        if not (isinstance(tag, tuple) and tag[1] == state.session and state.joining):
            return Done()
        close = Emit(str(state.session), Delivery.CLOSE, feed_frames.UNREADABLE)
        return Done(state=replace(state, session=None, joining=False), emits=(close,))

    def _gap_read(self, state: DriverState, answer: QueryAnswer) -> Step:
        entries = tuple(entry_from(row) for row in answer.result)
        fresh = tuple(e for e in entries if e.seq > state.last_seq)
        state = replace(state, reading=False)
        if answer.query.params[1] > state.last_seq:
            return self._catch_up(state)  # a session with an earlier position joined after this query
        if not fresh:
            return Done(state=state)
        if fresh[0].seq != state.last_seq + 1:
            # The log was trimmed above last_seq: only a snapshot is complete. The client asks for one.
            close = (
                ()
                if state.session is None
                else (Emit(state.session, Delivery.CLOSE, feed_frames.POSITION_LOST),)
            )
            next_state = replace(
                state, last_seq=fresh[-1].seq, tail=Tail(fresh[-1:]), session=None, joining=False
            )
            return Done(state=next_state, emits=close)
        done = self._append(state, fresh)
        if len(entries) == REPLAY_MAX:
            more = replace(done.state, reading=True)
            return replace(done, state=more, queries=(self._read_after(more),))
        return done

    def _connect(self, state: DriverState, message: m.Connect, turn: Turn) -> Step:
        """Bind a session: close the old one, and send missed entries or a snapshot.

        A bound session connects again when it may have missed entries.
        """
        emits: tuple[Emit, ...] = ()
        mine = state.session_number if message.session == state.session else None
        number = message.number or mine or (turn.epoch, turn.serial)
        reply: tuple[Any, ...] = m.Connected(*number)
        if not message.numbered:
            reply = m.Reply("connected", state.driver.status, state.driver.version)
        after = message.resume_seq
        if state.session not in (None, message.session):
            if number < state.session_number:
                return Done(
                    reply=reply, emits=(Emit(message.session, Delivery.CLOSE, feed_frames.SUPERSEDED),)
                )
            emits = (Emit(str(state.session), Delivery.CLOSE, feed_frames.SUPERSEDED),)
        elif message.again and state.session and not state.joining and after == state.last_seq:
            return Done(reply=reply)
        joined = replace(state, session=message.session, session_number=number, joining=True)
        if message.epoch != self._epoch or after is None or after > state.last_seq:
            query = Query("driver_snapshot", (state.driver.id,), tag=("snapshot", message.session))
            return Done(state=joined, reply=reply, emits=emits, queries=(query,))
        missed = state.tail.after(after) if state.tail else () if after == state.last_seq else None
        if missed is not None:
            welcome = self._welcome(joined, after, resumed=True, entries=missed)
            return replace(welcome, reply=reply, emits=(*emits, *welcome.emits))
        params = (state.driver.id, after, REPLAY_MAX + 1)
        query = Query("feed_after", params, tag=("replay", message.session, after))
        return Done(state=joined, reply=reply, emits=emits, queries=(query,))

    def _replay_read(self, state: DriverState, answer: QueryAnswer) -> Step:
        """Handle the log after the resume position: send all of it, or ask for a snapshot."""
        after = answer.query.params[1]
        entries = tuple(entry_from(row) for row in answer.result)
        complete = bool(entries) and entries[0].seq == after + 1 and len(entries) <= REPLAY_MAX
        if not complete:
            query = Query("driver_snapshot", (state.driver.id,), tag=("snapshot", state.session))
            return Done(state=state, queries=(query,))
        return self._joined(state, after, entries, None)

    def _snapshot_read(self, state: DriverState, row: Any, now_ms: int) -> Step:
        if row is None:
            return Done(emits=(Emit(str(state.session), Delivery.CLOSE, feed_frames.DISABLED),))
        carried, offered = ([order_from(x, ()) for x in row[kind]] for kind in ("carried", "offered"))
        number = state.driver.id
        snapshot = feed_frames.snapshot(number, row["status"], row["capacity"], carried, offered, now_ms)
        return self._joined(state, row["feed_seq"], (), snapshot)

    def _joined(
        self,
        state: DriverState,
        seq: int,
        entries: tuple[m.Entry, ...],
        snapshot: dict[str, Any] | None,
    ) -> Step:
        """Merge entries that were read with those that arrived meanwhile, without a gap."""
        at = entries[-1].seq if entries else seq
        later = tuple(e for e in state.tail if e.seq > at)
        complete = state.last_seq <= at or (bool(later) and later[0].seq == at + 1)
        last = max(at, state.last_seq) if complete else at
        merged = {e.seq: e for e in (*entries, *state.tail)}
        tail = contiguous([merged[seq] for seq in sorted(merged)], last)
        sent = (*entries, *(later if complete else ()))
        next_state = replace(state, last_seq=last, tail=tail)
        done = self._welcome(next_state, seq, resumed=snapshot is None, entries=sent, snapshot=snapshot)
        if complete:
            return done
        more = replace(done.state, reading=True)
        return replace(done, state=more, queries=(self._read_after(more),))

    def _welcome(
        self,
        state: DriverState,
        seq: int,
        *,
        resumed: bool,
        entries: tuple[m.Entry, ...],
        snapshot: dict[str, Any] | None = None,
    ) -> Done:
        session = str(state.session)
        frame = feed_frames.welcome(
            session, self._epoch, seq, state.driver.zone_id, resumed=resumed, snapshot=snapshot
        )
        emits = [Emit(session, Delivery.RELIABLE, frame)]
        emits += [Emit(session, Delivery.RELIABLE, frame) for frame in feed_frames.replayed(entries)]
        if state.queue_place is not None:
            emits.append(Emit(session, Delivery.LATEST, feed_frames.queue(state.queue_place), "queue"))
        return Done(state=replace(state, joining=False), emits=tuple(emits))
