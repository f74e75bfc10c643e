"""The driver's actor and its feed: whatever order things arrive in, a session sees each position once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.behaviour import Done
from actors.messages import Delivery, QueryAnswer, Turn
from dispatch import messages as m
from dispatch.domain.geo import Place
from dispatch.driver_actor import REPLAY_MAX, DriverBehaviour
from dispatch.driver_state import LATE_MS, DriverState
from dispatch.feed_tail import TAIL_MAX

EPOCH = "e1"
TURN = Turn(1_790_000_000_000, "t")


def entry(seq: int) -> m.Entry:
    return m.Entry(seq, "offer", 0, "t", {"n": seq})


class Feed:
    """A driver's actor, its log, and one phone that loses its line."""

    def __init__(self) -> None:
        self.behaviour = DriverBehaviour(EPOCH)
        self.log: list[m.Entry] = []
        self.trimmed = 0
        self.queries: list[Any] = []
        self.seen: int | None = None
        self.session = 0
        self.live = False
        row = {
            "id": 1, "zone_id": 1, "name": "D", "status": "online", "capacity": 1, "version": 1, "recent": [],
            "carrying": [], "lat": None, "lon": None, "feed_seq": 0, "unreachable_ms": None,
        }  # fmt: skip
        self.state: DriverState = self.behaviour.restore(1, row, None)

    def send(self, message: object, later_ms: int = 0) -> None:
        done = self.behaviour.decide(self.state, message, replace(TURN, now_ms=TURN.now_ms + later_ms))
        assert isinstance(done, Done)
        self.state = done.state or self.state
        self.queries += done.queries
        for emit in done.emits:
            if emit.to != f"s{self.session}":
                continue
            if emit.delivery is Delivery.CLOSE:
                self.live = False
            elif emit.frame["t"] == "welcome":
                if emit.frame["resumed"]:
                    assert emit.frame["seq"] == self.seen
                self.seen = emit.frame["seq"]
            elif emit.frame["t"] == "event":
                assert emit.frame["seq"] == (self.seen or 0) + 1, "a gap or a repetition"
                self.seen = emit.frame["seq"]

    def commit(self, *, told: bool) -> None:
        self.log.append(entry(len(self.log) + 1))
        if told:
            self.send(m.FeedGrew(self.log[-1]))

    def connect(self, *, fresh: bool) -> None:
        self.session += 1
        self.live = True
        if fresh:
            self.seen = None
        self.send(m.Connect(f"s{self.session}", EPOCH if self.seen is not None else None, self.seen))

    def answer(self) -> None:
        if not self.queries:
            return
        query = self.queries.pop(0)
        if query.name == "driver_snapshot":
            snapshot = {
                "feed_seq": len(self.log),
                "status": "online",
                "capacity": 1,
                "carried": [],
                "offered": [],
            }
            self.send(QueryAnswer(query, snapshot))
        else:
            _, after, limit = query.params
            rows = [e._asdict() for e in self.log if e.seq > max(after, self.trimmed)][:limit]
            self.send(QueryAnswer(query, rows))

    def settle(self) -> None:
        """Let everything arrive, and a look at the row."""
        for _ in range(20):
            while self.queries:
                self.answer()
            if not self.live:
                self.connect(fresh=True)
            self.send(m.FeedAt(len(self.log)))


STEPS = st.lists(
    st.sampled_from(
        ["told", "told", "told", "lost", "answer", "resume", "fresh", "hang up", "look", "trim", "burst"]
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(STEPS)
def test_session_sees_every_position_once_and_in_order(steps: list[str]) -> None:
    feed = Feed()
    for step in steps:
        match step:
            case "told" | "lost":
                feed.commit(told=step == "told")
            case "burst":
                for _ in range(TAIL_MAX + 10):
                    feed.commit(told=False)
            case "answer":
                feed.answer()
            case "resume" | "fresh":
                feed.connect(fresh=step == "fresh")
            case "hang up":
                feed.send(m.Disconnect(f"s{feed.session}"))
                feed.live = False
            case "look":
                feed.send(m.FeedAt(len(feed.log)))
            case _:
                feed.trimmed = max(0, len(feed.log) - 3)
    feed.settle()
    assert feed.seen == len(feed.log)
    assert not feed.state.joining


def test_reconnect_that_missed_nothing_reads_nothing() -> None:
    feed = Feed()
    feed.connect(fresh=True)
    feed.answer()
    for _ in range(5):
        feed.commit(told=True)
    feed.connect(fresh=False)
    assert feed.queries == []
    assert not feed.state.joining


def test_client_that_missed_too_much_gets_a_snapshot() -> None:
    feed = Feed()
    feed.connect(fresh=True)
    feed.answer()
    feed.send(m.Disconnect("s1"))
    for _ in range(REPLAY_MAX + 5):
        feed.commit(told=False)
    feed.send(m.FeedAt(len(feed.log)))
    while feed.queries:
        feed.answer()
    feed.connect(fresh=False)
    assert feed.queries[0].name == "feed_after"
    feed.answer()
    assert feed.queries[0].name == "driver_snapshot"
    feed.answer()
    assert feed.seen == len(feed.log)


HERE, THERE = Place(1, 1), Place(1.001, 1)


def test_older_position_of_the_same_session_never_wins() -> None:
    feed = Feed()
    feed.send(m.PositionReported(HERE, 5, session="s1"))
    feed.send(m.PositionReported(THERE, 4, session="s1"))
    assert feed.state.place == HERE


def test_new_phone_that_counts_from_one_is_heard_however_far_the_old_one_had_counted() -> None:
    feed = Feed()
    feed.connect(fresh=True)
    feed.send(m.PositionReported(HERE, 1_790_000_000_000, session="s1"))
    feed.connect(fresh=True)
    feed.send(m.PositionReported(THERE, 1, session="s2"))
    assert feed.state.place == THERE


def test_count_that_begins_anew_in_the_same_session_is_heard_after_ten_seconds() -> None:
    feed = Feed()
    feed.send(m.PositionReported(HERE, 1_790_000_000_000, session="s1"))
    feed.send(m.PositionReported(THERE, 1, session="s1"), LATE_MS - 1)
    assert feed.state.place == HERE
    feed.send(m.PositionReported(THERE, 2, session="s1"), LATE_MS)
    assert feed.state.place == THERE


def test_position_without_a_count_is_taken_as_it_comes() -> None:
    feed = Feed()
    feed.send(m.PositionReported(HERE, 5, session="s1"))
    feed.send(m.PositionReported(THERE, session="s1"))
    assert feed.state.place == THERE


class Owner:
    """The driver's actor on one instance: what it answers to handshakes, and whom it closes."""

    def __init__(self, epoch: int) -> None:
        self.feed = Feed()
        self.epoch = epoch
        self.serial = 0
        self.closed: list[tuple[str, int]] = []

    def bind(self, session: str, opened_ms: int = 0, number: m.Connected | None = None) -> Any:
        self.serial += 1
        turn = replace(TURN, epoch=self.epoch, serial=self.serial)
        message = m.Connect(session, None, None, opened_ms, number is not None, number, numbered=True)
        done = self.feed.behaviour.decide(self.feed.state, message, turn)
        assert isinstance(done, Done)
        self.feed.state = done.state or self.feed.state
        self.closed += [(emit.to, emit.frame) for emit in done.emits if emit.delivery is Delivery.CLOSE]
        return done.reply


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")], ids="-then-".join)
def test_later_handshake_has_the_feed_on_another_instance_too_whatever_the_clocks_say(
    order: tuple[str, str],
) -> None:
    first, second = Owner(7), Owner(8)
    # The clock of the later edge is ten minutes behind.
    clocks = {"old": 600_000, "new": 0}
    numbers = {session: first.bind(session, clocks[session]) for session in ("old", "new")}
    assert first.closed == [("old", 4006)]
    for session in order:
        second.bind(session, clocks[session], numbers[session])
    assert (second.closed, second.feed.state.session) == ([("old", 4006)], "new")


def test_handshake_after_the_actor_has_moved_is_later_than_all_before() -> None:
    first, second = Owner(7), Owner(8)
    number = [first.bind(f"s{n}", 600_000) for n in range(5)][-1]
    second.bind("fresh", 0)
    second.bind("s4", 600_000, number)
    assert (second.closed, second.feed.state.session) == ([("s4", 4006)], "fresh")


def test_session_keeps_its_number_when_it_asks_again() -> None:
    owner = Owner(7)
    number = owner.bind("s1")
    assert owner.bind("s1") == owner.bind("s1", 0, number) == number
    assert owner.closed == []


def test_instance_of_the_version_before_gets_the_answer_that_it_knows() -> None:
    feed = Feed()
    done = feed.behaviour.decide(feed.state, m.Connect("s1", None, None, 5), TURN)
    assert isinstance(done, Done)
    assert done.reply == m.Reply("connected", "online", 1)
