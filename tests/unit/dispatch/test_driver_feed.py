"""The driver's actor and its feed: whatever order things arrive in, a session sees each position once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.messages import QueryAnswer, Turn
from actors.steps import Done
from dispatch import messages as m
from dispatch.driver_actor import REPLAY_MAX, DriverBehaviour
from dispatch.driver_state import DriverState
from dispatch.tail import TAIL_MAX

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

    def send(self, message: object) -> None:
        done = self.behaviour.decide(self.state, message, TURN)
        assert isinstance(done, Done)
        self.state = done.state or self.state
        self.queries += done.queries
        for emit in done.emits:
            if emit.to != f"s{self.session}":
                continue
            if emit.lane == "close":
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
                "offers": [],
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


def test_older_position_of_the_car_never_wins() -> None:
    from dispatch.domain.geo import Place

    feed = Feed()
    feed.send(m.MovedTo(Place(1, 1), 5))
    feed.send(m.MovedTo(Place(2, 2), 4))
    assert feed.state.place == Place(1, 1)
