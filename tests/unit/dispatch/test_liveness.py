"""Which drivers can be asked: what their actors hear and do not hear of them."""

from __future__ import annotations

from typing import Any

import pytest

from actors.behaviour import Commit, Done, Outcome, Step
from actors.cell import Cell
from actors.messages import ActorId, Envelope, QueryAnswer, Turn, Wake
from dispatch import messages as m
from dispatch.domain.driver import Driver
from dispatch.domain.geo import Place
from dispatch.domain.liveness import GRACE_MS
from dispatch.domain.position_filter import JUMP, NOWHERE
from dispatch.driver_actor import DriverBehaviour
from dispatch.driver_liveness import GRACE
from dispatch.driver_state import DriverState

NOW = 1_790_000_000_000
SNAPSHOT = {"feed_seq": 0, "status": "online", "capacity": 1, "carried": [], "offered": []}
MALL = Place(52.52, 13.405)


class Life:
    """A driver whose turns happen when the test says; what its actor tells itself is said to it."""

    def __init__(self, status: str = "online") -> None:
        self.doubts: list[str] = []
        self.behaviour = DriverBehaviour("e", self.doubts.append)
        self.state = DriverState(Driver(7, 1, "Max", status, 1, 1), 0)
        self.now = NOW
        self.told: list[m.DriverChanged] = []
        self.frames: list[Any] = []
        self.commits = 0
        self.wake_s: float | None = None

    def say(self, message: object, after_ms: int = 0) -> Done:
        self.now += after_ms
        turn = Turn(self.now, "t")
        return self._done(self.behaviour.decide(self.state, message, turn))

    def _done(self, step: Step) -> Done:
        if isinstance(step, Commit):
            self.commits += 1
            step = step.then(Outcome("ok", {}))
        assert isinstance(step, Done)
        self.state = step.state or self.state
        self.wake_s = step.wake_s
        self.frames += [emit.frame for emit in step.emits]
        for tell in step.tells:
            if isinstance(tell.message, m.DriverChanged):
                self.told.append(tell.message)
            else:
                assert (tell.to.kind, tell.to.number) == ("driver", 7)
                self.say(tell.message)
        for query in step.queries:
            self.say(QueryAnswer(query, SNAPSHOT if query.name == "driver_snapshot" else []))
        return step

    def connect(self, session: str = "fed_1@one") -> None:
        self.say(m.Connect(session, None, None, self.now))

    def let_pass(self, offer: str) -> None:
        self.say(m.OfferDied(offer, "ord_5", "expired"))

    @property
    def asked(self) -> bool:
        """Whether the zone believes that the driver can be asked."""
        return self.told[-1].online


@pytest.fixture
def life() -> Life:
    life = Life()
    life.connect()
    life.say(m.PositionReported(MALL, 1))
    assert life.asked
    return life


def unreachable() -> Life:
    life = Life()
    life.connect()
    life.say(m.Disconnect("fed_1@one"))
    life.say(Wake(GRACE), GRACE_MS)
    assert (life.state.driver.state, life.asked) == ("unreachable", False)
    return life


def test_driver_whose_socket_does_not_come_back_is_not_asked_after_the_grace(life: Life) -> None:
    life.say(m.Disconnect("fed_1@one"))
    assert (life.wake_s, life.asked) == (GRACE_MS / 1000, True)
    life.say(Wake(GRACE), GRACE_MS)
    assert (life.state.driver.status, life.state.driver.state, life.asked) == ("online", "unreachable", False)


def test_driver_who_resumes_within_the_grace_stays_reachable(life: Life) -> None:
    life.say(m.Disconnect("fed_1@one"))
    life.connect("fed_2@one")
    life.say(Wake(GRACE), GRACE_MS)
    assert (life.state.driver.state, life.commits) == ("online", 0)


def test_grace_counts_from_the_last_loss(life: Life) -> None:
    life.say(m.Disconnect("fed_1@one"))
    life.connect("fed_2@one")
    life.say(m.Disconnect("fed_2@one"), GRACE_MS - 5000)
    life.say(Wake(GRACE), 5000)
    assert (life.state.driver.state, life.wake_s) == ("online", (GRACE_MS - 5000) / 1000)


def test_driver_without_a_socket_by_choice_is_reachable() -> None:
    life = Life()
    life.say(m.PositionReported(MALL, 1))
    life.say(Wake(GRACE), GRACE_MS)
    assert life.asked


def test_driver_who_lets_two_offers_pass_unseen_is_not_asked(life: Life) -> None:
    life.let_pass("ofr_5_1")
    assert life.asked
    life.let_pass("ofr_5_2")
    assert (life.state.driver.state, life.asked) == ("unreachable", False)
    assert life.frames[-1]["data"] == {"status": "online", "state": "unreachable"}


@pytest.mark.parametrize(
    "look",
    [m.OfferSeen("ofr_5_2"), m.FeedGrew(None, alive=True)],
    ids=["a look at the next", "an acceptance"],
)
def test_looking_at_an_offer_ends_the_row(life: Life, look: object) -> None:
    life.let_pass("ofr_5_1")
    life.say(look)
    life.let_pass("ofr_5_2")
    life.let_pass("ofr_5_3") if isinstance(look, m.OfferSeen) else None
    assert life.asked


@pytest.mark.parametrize("why", ["taken", "cancelled", "withdrawn", "mode_changed"])
def test_offer_that_ended_otherwise_is_nobodys_fault(life: Life, why: str) -> None:
    for number in range(5):
        life.say(m.OfferDied(f"ofr_5_{number}", "ord_5", why))
    assert life.asked


@pytest.mark.parametrize(
    "sign",
    [
        m.PositionReported(MALL, 2),
        m.OfferSeen("ofr_5_9"),
        m.SetAvailability("online"),
        m.Connect("fed_9@one", None, None, NOW + 10**6),
        m.FeedGrew(None, alive=True),
        m.Alive(),
    ],
    ids=lambda sign: type(sign).__name__,
)
def test_any_sign_of_life_makes_a_driver_reachable_again(sign: object) -> None:
    life = unreachable()
    life.say(sign)
    assert (life.state.driver.state, life.asked) == ("online", True)


def test_what_others_do_is_no_sign_of_life() -> None:
    life = unreachable()
    for message in (m.FeedGrew(None, took=5), m.DriverView(), m.SetDriver(capacity=3), m.Carrying(5)):
        life.say(message)
    assert life.state.driver.state == "unreachable"


def test_driver_who_came_back_may_miss_one_offer_again(life: Life) -> None:
    life.let_pass("ofr_5_1")
    life.let_pass("ofr_5_2")
    life.say(m.PositionReported(MALL, 2))
    life.let_pass("ofr_5_3")
    assert life.asked


def test_operator_takes_a_driver_offline_and_its_app_is_told(life: Life) -> None:
    done = life.say(m.TakeOffline())
    assert (done.reply.code, life.state.driver.status, life.asked) == ("now_offline", "offline", False)
    assert life.frames[-1]["data"] == {"status": "offline", "state": "offline"}


def test_driver_who_is_offline_is_not_called_unreachable() -> None:
    life = Life("offline")
    life.connect()
    life.say(m.Disconnect("fed_1@one"))
    life.say(Wake(GRACE), GRACE_MS)
    life.let_pass("ofr_5_1")
    life.let_pass("ofr_5_2")
    assert (life.state.driver.state, life.commits) == ("offline", 0)


@pytest.mark.parametrize(
    "doubted",
    [
        m.PositionReported(Place(0.0, 0.0), 3),
        m.PositionReported(Place(48.85, 2.35), 3),
        m.PositionReported(MALL, 3, 9_000.0),
    ],
)
def test_fix_that_may_be_doubted_does_not_displace_a_good_one_that_nobody_has_read(
    life: Life, doubted: m.PositionReported
) -> None:
    near, nearer = m.PositionReported(Place(52.5205, 13.405), 2), m.PositionReported(Place(52.521, 13.405), 4)
    cell = Cell(ActorId("driver", 7), life.behaviour, 0)
    for fix in (near, doubted, nearer):
        cell.put_latest("place", Envelope(cell.id, fix, until=1e9))
    believed = []
    while (envelope := cell.take()) is not None:
        life.say(envelope.message, 1000)
        believed.append(life.state.place)
    assert list(dict.fromkeys(believed)) == [near.place, nearer.place]


def test_fix_that_is_newer_and_plausible_is_the_only_one_read(life: Life) -> None:
    cell = Cell(ActorId("driver", 7), life.behaviour, 0)
    for n in range(50):
        cell.put_latest("place", Envelope(cell.id, m.PositionReported(MALL, n), until=1e9))
    envelope = cell.take()
    assert envelope is not None
    assert envelope.message == m.PositionReported(MALL, 49)
    assert not cell.waiting


def test_fix_that_is_not_believed_is_kept_apart_and_counted(life: Life) -> None:
    life.say(m.PositionReported(Place(0.0, 0.0), 2), 1000)
    life.say(m.PositionReported(Place(48.85, 2.35), 3), 1000)
    assert (life.state.place, life.doubts) == (MALL, [NOWHERE, JUMP])
    assert life.told[-1].place == MALL
    assert life.state.track.apart == Place(48.85, 2.35)
