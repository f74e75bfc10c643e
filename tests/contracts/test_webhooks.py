"""Stored endpoints of webhooks: claims, settlements, the log, replays, in memory and on Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from dispatch.webhooks.store import QueryStore
from dispatch.webhooks.values import (
    Answer,
    Attempt,
    ClaimRelease,
    DeadLetter,
    Filters,
    LiveProgress,
    ReplayProgress,
    Settlement,
    Trouble,
    WebhookClaim,
)
from storage.memory.jobs import MemoryJobs
from storage.memory.webhooks import MemoryWebhooks
from storage.postgres.database import open_database
from tests.conftest import copy_database
from tests.support.clocks import Hands

LEASE_S = 30.0
USUAL: Mapping[str, Any] = {
    "url": "https://1.example/", "description": None, "types": [], "zone_ids": [], "store_ids": [],
    "owner_user_id": 1, "owner_store_id": None, "on_refused": "skip",
}  # fmt: skip
TIMES = ("due_at", "errand_at", "leased_until", "failing_since", "refused_since")


class WebhooksWorld:
    """Stored endpoints with a clock that a test sets."""

    def __init__(self, queries: Any, hands: Hands, jobs: MemoryJobs, owner: Any = None) -> None:
        self.queries = queries
        self.store = QueryStore(queries, hands)
        self.hands = hands
        self._jobs = jobs
        self._owner = owner
        self._last = 0

    async def let_pass(self, seconds: float) -> None:
        """Everything that is stored is older by this."""
        self.hands.now += seconds
        if self._owner is not None:
            moved = ", ".join(f"{name} = {name} - make_interval(secs => $1)" for name in TIMES)
            await self._owner.execute(f"UPDATE webhook_endpoints SET {moved}", seconds)
            await self._owner.execute(
                "UPDATE webhook_replays SET due_at = due_at - make_interval(secs => $1),"
                " failing_since = failing_since - make_interval(secs => $1)", seconds,
            )  # fmt: skip

    async def endpoint(self, number: int = 1, **values: Any) -> None:
        """A new endpoint at the end of the log."""
        made = await self.queries.value("webhook_create", number, b"sealed", {**USUAL, **values}, 100)
        assert made == number

    async def happen(
        self, count: int = 1, kind: str = "order.created", zone: int = 1, stores: Sequence[int] = (1,)
    ) -> None:
        """The relay puts events into the log."""
        events = []
        for _ in range(count):
            self._last += 1
            events.append({"type": kind, "topic": "order", "ref": self._last, "version": 1, "order_id": self._last,
                           "zone_id": zone, "store_ids": [*stores], "body": f'{{"sequence":{self._last}}}',
                           "trace": "f" * 32, "at_ms": 0})  # fmt: skip
        said = {"ids": [], "events": events, "jobs": []}
        target: Any = self._jobs if self._owner is None else self.queries
        assert await target.value("relay_outbox", self._last - count, said)

    async def lose(self, upto: int) -> None:
        """Events up to this one are deleted."""
        if self._owner is None:
            self.queries.log_begin = upto + 1
        else:
            await self._owner.execute("DELETE FROM event_log WHERE pos <= $1", upto)

    def named(self, name: str, life: str) -> QueryStore:
        """The store as a process of this name uses it."""
        return QueryStore(self.queries, self.hands, name=name, life=life)

    async def claim(self, count_max: int = 64, failing_max: int = 32) -> list[WebhookClaim]:
        return sorted(await self.store.claim(count_max, failing_max, LEASE_S), key=lambda c: c.endpoint)

    async def claim_one(self) -> WebhookClaim:
        [claim] = await self.claim()
        return claim

    async def settle(self, *items: Settlement) -> set[int]:
        return {*await self.store.settle(items, LEASE_S)}

    async def attempts(self) -> list[tuple[int, str, int | None]]:
        """Endpoint, message and status of each recorded attempt."""
        if self._owner is None:
            return [(number, one["message"], one["status"]) for number, one in self.queries.attempts]
        rows = await self._owner.fetch(
            "SELECT endpoint_id, message, status FROM webhook_attempts ORDER BY id"
        )
        return [tuple(row) for row in rows]

    async def dead(self) -> list[int]:
        """Positions of dead letters."""
        if self._owner is None:
            return sorted(pos for one in self.queries.endpoints.values() for pos in one.dead)
        return [
            row["pos"] for row in await self._owner.fetch("SELECT pos FROM webhook_dead_letters ORDER BY pos")
        ]


@pytest.fixture
async def webhooks(server: str | None) -> AsyncIterator[WebhooksWorld]:
    hands = Hands()
    jobs = MemoryJobs(hands)
    if server is None:
        yield WebhooksWorld(MemoryWebhooks(jobs, hands), hands, jobs)
        return
    url = await copy_database(server)
    owner = await asyncpg.connect(url)
    await owner.execute(
        "INSERT INTO users (id, email, email_key, role, name) VALUES (1, 'a@b.example', 'a@b.example', 'admin', 'A')"
    )
    async with open_database(url, size_max=4) as database:
        yield WebhooksWorld(database, hands, jobs, owner)
    await owner.close()


def settlement(claim: WebhookClaim, step: int = 1, **values: Any) -> Settlement:
    return Settlement(claim.endpoint, claim.number, step, claim.version, claim.wakes, **values)


def delivered(
    claim: WebhookClaim, pos: int, step: int = 1, *, release: ClaimRelease | None = None
) -> Settlement:
    """The event at this position was taken."""
    attempt = Attempt(f"evt_{pos}", pos, None, 100.0, Answer(204, took_ms=5))
    live = LiveProgress(pos, Trouble())
    return settlement(claim, step, attempts=(attempt,), live=live, release=release)


IDLE = ClaimRelease(None)


async def test_endpoint_is_due_when_an_event_comes_and_not_before(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    assert await webhooks.claim() == []
    await webhooks.happen()
    claim = await webhooks.claim_one()
    assert (claim.number, claim.reached, claim.live, claim.url) == (1, 0, True, "https://1.example/")
    assert (claim.secrets, claim.lease_s) == ((b"sealed",), LEASE_S)


async def test_endpoint_is_not_woken_by_types_that_it_does_not_want(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint(1, types=["stock.out"])
    await webhooks.happen(kind="order.created")
    assert await webhooks.claim() == []
    await webhooks.happen(kind="stock.out")
    assert (await webhooks.claim_one()).filters == Filters(("stock.out",))


async def test_claimed_endpoint_is_nobody_elses_until_its_lease_ends(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen()
    first = await webhooks.claim_one()
    await webhooks.happen()
    await webhooks.let_pass(LEASE_S - 1)
    assert await webhooks.claim() == []
    await webhooks.let_pass(2)
    second = await webhooks.claim_one()
    assert second.number == first.number + 1
    assert await webhooks.settle(delivered(first, 1)) == set(), "the fence"
    assert await webhooks.attempts() == []
    assert await webhooks.settle(delivered(second, 1)) == {1}


async def test_lease_doubles_until_something_is_settled(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen()
    leases = []
    for _ in range(9):
        claim = await webhooks.claim_one()
        leases.append(round(claim.lease_s))
        await webhooks.let_pass(claim.lease_s + 1)
    assert leases == [30, 60, 120, 240, 480, 960, 1920, 1920, 1920]
    claim = await webhooks.claim_one()
    await webhooks.settle(delivered(claim, 1))
    await webhooks.let_pass(LEASE_S + 1)
    assert (await webhooks.claim_one()).lease_s == LEASE_S


async def test_leases_of_a_dead_process_end_when_its_name_begins_again_but_not_twice(
    webhooks: WebhooksWorld,
) -> None:
    await webhooks.endpoint()
    await webhooks.happen()
    lives = [webhooks.named("a", life) for life in ("1", "2", "3")]
    other = webhooks.named("b", "1")
    [claim] = await lives[0].claim(9, 9, LEASE_S)
    for store in (lives[0], other):
        await store.begin()
        assert await store.claim(9, 9, LEASE_S) == []
    await lives[1].begin()
    [again] = await lives[1].claim(9, 9, LEASE_S)
    assert again.number == claim.number + 1
    await lives[2].begin()
    assert await lives[2].claim(9, 9, LEASE_S) == [], "it may be what ends its senders"
    await webhooks.settle(delivered(again, 1))
    await lives[2].begin()
    [last] = await lives[2].claim(9, 9, LEASE_S)
    assert last.reached == 1


async def test_progress_extends_the_lease_and_moves_the_cursor(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(3)
    claim = await webhooks.claim_one()
    await webhooks.let_pass(20)
    await webhooks.settle(delivered(claim, 1, 1))
    await webhooks.let_pass(20)
    assert await webhooks.claim() == []
    await webhooks.settle(delivered(claim, 2, 2))
    await webhooks.let_pass(LEASE_S + 1)
    assert (await webhooks.claim_one()).reached == 2


async def test_settlement_that_is_repeated_counts_once(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(2)
    claim = await webhooks.claim_one()
    item = delivered(claim, 1)
    assert await webhooks.settle(item) == {1}
    assert await webhooks.settle(item) == {1}
    assert await webhooks.attempts() == [(1, "evt_1", 204)]


async def test_release_makes_it_idle_unless_an_event_came_meanwhile(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen()
    claim = await webhooks.claim_one()
    await webhooks.settle(delivered(claim, 1, release=IDLE))
    assert await webhooks.claim() == []
    await webhooks.happen()
    claim = await webhooks.claim_one()
    await webhooks.happen()
    await webhooks.settle(delivered(claim, 2, release=IDLE))
    assert (await webhooks.claim_one()).reached == 2


async def test_failure_waits_for_its_time_whatever_comes_in(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen()
    claim = await webhooks.claim_one()
    trouble = Trouble(1, webhooks.hands.now, 1, webhooks.hands.now)
    failed = settlement(claim, live=LiveProgress(0, trouble), release=ClaimRelease(60.0))
    await webhooks.settle(failed)
    await webhooks.happen()
    await webhooks.let_pass(59)
    assert await webhooks.claim() == []
    await webhooks.let_pass(2)
    again = (await webhooks.claim_one()).trouble
    assert (again.failures, again.refusals) == (1, 1)
    assert again.failing_since == pytest.approx(trouble.failing_since, abs=1)
    assert again.refused_since == pytest.approx(trouble.refused_since, abs=1)


async def test_endpoint_whose_failing_event_is_not_wanted_any_more_is_woken_by_the_next_one(
    webhooks: WebhooksWorld,
) -> None:
    await webhooks.endpoint(types=["order.created"])
    await webhooks.happen()
    claim = await webhooks.claim_one()
    trouble = Trouble(1, webhooks.hands.now)
    failed = settlement(claim, live=LiveProgress(0, trouble), release=ClaimRelease(5.0))
    await webhooks.settle(failed)
    await webhooks.queries.value("webhook_change", 1, None, {"types": ["stock.out"]})
    await webhooks.let_pass(LEASE_S)
    claim = await webhooks.claim_one()
    await webhooks.settle(settlement(claim, live=LiveProgress(1, trouble), release=IDLE))
    await webhooks.happen(kind="stock.out")
    assert (await webhooks.claim_one()).reached == 1


async def test_other_filters_have_the_endpoint_looked_at(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint(types=["stock.out"])
    await webhooks.happen(kind="order.created")
    assert await webhooks.claim() == []
    await webhooks.queries.value("webhook_change", 1, None, {"types": ["order.created"]})
    assert (await webhooks.claim_one()).reached == 0


async def test_success_ends_the_trouble(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(2)
    claim = await webhooks.claim_one()
    trouble = Trouble(3, webhooks.hands.now, 2, webhooks.hands.now)
    await webhooks.settle(settlement(claim, live=LiveProgress(0, trouble)))
    await webhooks.settle(delivered(claim, 1, 2, release=ClaimRelease(0.0)))
    assert (await webhooks.claim_one()).trouble == Trouble()


async def test_no_more_failing_endpoints_are_claimed_than_asked_for_and_good_ones_first(
    webhooks: WebhooksWorld,
) -> None:
    for number in range(1, 7):
        await webhooks.endpoint(number)
    await webhooks.happen()
    for claim in (await webhooks.claim())[:4]:
        trouble = Trouble(1, webhooks.hands.now)
        await webhooks.settle(settlement(claim, live=LiveProgress(0, trouble), release=ClaimRelease(0.0)))
    await webhooks.let_pass(LEASE_S + 1)
    assert [c.endpoint for c in await webhooks.claim(5, 2)] == [1, 2, 5, 6]
    assert [c.endpoint for c in await webhooks.claim(5, 1)] == [3]


async def test_disabled_endpoint_is_not_claimed_and_goes_on_where_it_was(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(2)
    claim = await webhooks.claim_one()
    await webhooks.settle(
        settlement(claim, live=LiveProgress(1, Trouble(1, 0.0), "gone"), release=ClaimRelease(0.0))
    )
    await webhooks.happen()
    await webhooks.let_pass(9)
    assert await webhooks.claim() == []
    await webhooks.queries.value("webhook_enable", 1, False)
    enabled = await webhooks.claim_one()
    assert (enabled.reached, enabled.trouble, enabled.live) == (1, Trouble(), True)


async def test_endpoint_can_be_enabled_from_now_on(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(5)
    await webhooks.queries.value("webhook_enable", 1, True)
    assert (await webhooks.claim_one()).reached == 5


async def test_sender_of_an_endpoint_that_is_stopped_by_hand_may_write_nothing_more(
    webhooks: WebhooksWorld,
) -> None:
    await webhooks.endpoint()
    await webhooks.happen()
    claim = await webhooks.claim_one()
    await webhooks.queries.value("webhook_change", 1, None, {"disabled": True})
    assert await webhooks.settle(delivered(claim, 1)) == set()
    await webhooks.let_pass(LEASE_S + 1)
    assert await webhooks.claim() == []


async def test_endpoint_that_was_changed_while_it_was_sent_to_is_looked_at_again(
    webhooks: WebhooksWorld,
) -> None:
    await webhooks.endpoint()
    await webhooks.happen()
    claim = await webhooks.claim_one()
    await webhooks.queries.value("webhook_change", 1, None, {"url": "https://new.example/"})
    trouble = Trouble(1, webhooks.hands.now)
    await webhooks.settle(settlement(claim, live=LiveProgress(0, trouble), release=ClaimRelease(3600.0)))
    assert (await webhooks.claim_one()).url == "https://new.example/"


async def test_log_is_read_by_filters_and_says_how_far_it_was_looked_at(webhooks: WebhooksWorld) -> None:
    await webhooks.happen(2)
    await webhooks.happen(1, "stock.out", zone=2, stores=[7])
    await webhooks.happen(1, "order.created", zone=2, stores=[7, 8])
    read = webhooks.store.read

    async def found(filters: Filters, after: int = 0, upto: int | None = None, most: int = 50) -> Any:
        batch = await read(filters, after, upto, most)
        return [event.pos for event in batch.events], batch.seen

    assert await found(Filters()) == ([1, 2, 3, 4], 4)
    assert await found(Filters(), 2) == ([3, 4], 4)
    assert await found(Filters(), 0, 3) == ([1, 2, 3], 3)
    assert await found(Filters(), 0, None, 2) == ([1, 2], 2)
    assert await found(Filters(("stock.out",))) == ([3], 4)
    assert await found(Filters((), (2,))) == ([3, 4], 4)
    assert await found(Filters((), (), (8, 9))) == ([4], 4)
    assert await found(Filters((), (), (), 7)) == ([3, 4], 4)
    assert await found(Filters(("payment.held",))) == ([], 4)
    assert await found(Filters(), 4) == ([], 4)
    [event] = (await read(Filters(), 3, None, 1)).events
    assert (event.type, event.body, event.trace) == ("order.created", b'{"sequence":4}', "f" * 32)


async def test_log_says_where_it_begins(webhooks: WebhooksWorld) -> None:
    await webhooks.happen(5)
    await webhooks.lose(3)
    batch = await webhooks.store.read(Filters(), 0, None, 50)
    assert (batch.log_begin, batch.log_end, [event.pos for event in batch.events]) == (4, 5, [4, 5])
    await webhooks.lose(5)
    batch = await webhooks.store.read(Filters(), 0, None, 50)
    assert (batch.log_begin, batch.log_end, batch.events) == (6, 5, ())


async def test_dead_letter_stays_until_a_replay_delivers_it(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(2)
    claim = await webhooks.claim_one()
    live = LiveProgress(2, Trouble())
    await webhooks.settle(settlement(claim, dead=(DeadLetter(2, 422, 5),), live=live, release=IDLE))
    assert await webhooks.dead() == [2]
    wish: dict[str, Any] = {"from_pos": 2, "to_pos": 2, "since": None, "types": [], "by_id": 1}
    assert (await webhooks.queries.value("webhook_replay", 1, wish, 3))["code"] == "accepted"
    claim = await webhooks.claim_one()
    assert claim.replay is not None
    assert (claim.live, claim.replay.reached, claim.replay.to_pos) == (False, 1, 2)
    attempt = Attempt("evt_2", 2, claim.replay.id, 100.0, Answer(200))
    progress = ReplayProgress(claim.replay.id, 2, Trouble(), done=True)
    await webhooks.settle(settlement(claim, attempts=(attempt,), replay=progress, release=IDLE))
    assert await webhooks.dead() == []
    await webhooks.let_pass(9)
    assert await webhooks.claim() == []


async def test_replay_that_waits_keeps_no_event_waiting(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(2)
    claim = await webhooks.claim_one()
    await webhooks.settle(delivered(claim, 2, release=IDLE))
    wish: dict[str, Any] = {
        "from_pos": 1,
        "to_pos": None,
        "since": None,
        "types": ["order.created"],
        "by_id": 1,
    }
    await webhooks.queries.value("webhook_replay", 1, wish, 3)
    claim = await webhooks.claim_one()
    assert claim.replay is not None
    assert claim.replay.types == ("order.created",)
    trouble = Trouble(1, webhooks.hands.now)
    waiting = ReplayProgress(claim.replay.id, 1, trouble, due_s=600.0)
    await webhooks.settle(settlement(claim, replay=waiting, release=IDLE))
    assert await webhooks.claim() == []
    await webhooks.happen()
    claim = await webhooks.claim_one()
    assert (claim.live, claim.replay) == (True, None)
    await webhooks.settle(delivered(claim, 3, release=IDLE))
    await webhooks.let_pass(601)
    claim = await webhooks.claim_one()
    assert claim.replay is not None
    assert (claim.live, claim.replay.reached, claim.replay.trouble.failures) == (False, 1, 1)


@pytest.mark.parametrize(
    ("first", "last", "code"), [(9, None, "nothing"), (2, 1, "nothing"), (1, 9, "accepted")]
)
async def test_replay_is_of_what_the_endpoint_has_passed(
    webhooks: WebhooksWorld, first: int, last: int | None, code: str
) -> None:
    await webhooks.happen(3)
    await webhooks.endpoint()
    await webhooks.happen(3)
    wish: dict[str, Any] = {"from_pos": first, "to_pos": last, "since": None, "types": [], "by_id": 1}
    made = await webhooks.queries.value("webhook_replay", 1, wish, 3)
    assert made["code"] == code
    assert made.get("to_pos") == (3 if code == "accepted" else None)
    assert (await webhooks.queries.value("webhook_replay", 7, wish, 3))["code"] == "not_found"


async def test_no_more_replays_wait_than_may(webhooks: WebhooksWorld) -> None:
    await webhooks.happen(3)
    await webhooks.endpoint()
    wish: dict[str, Any] = {"from_pos": 1, "to_pos": None, "since": None, "types": [], "by_id": 1}
    codes = [(await webhooks.queries.value("webhook_replay", 1, wish, 2))["code"] for _ in range(3)]
    assert codes == ["accepted", "accepted", "too_many"]


async def test_ping_is_wanted_once_also_of_a_disabled_endpoint(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.queries.value("webhook_change", 1, None, {"disabled": True})
    assert await webhooks.queries.value("webhook_ping", 1, "ping_1") == "ping_1"
    assert await webhooks.queries.value("webhook_ping", 1, "ping_2") == "ping_1"
    claim = await webhooks.claim_one()
    assert (claim.ping, claim.live) == ("ping_1", False)
    await webhooks.settle(settlement(claim, pinged="ping_1", release=IDLE))
    assert await webhooks.claim() == []
    assert await webhooks.queries.value("webhook_ping", 9, "ping_3") is None


async def test_gap_is_kept_and_cursor_goes_only_forward(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint()
    await webhooks.happen(5)
    claim = await webhooks.claim_one()
    await webhooks.settle(settlement(claim, live=LiveProgress(3, Trouble(), gap=(1, 3))))
    back = replace(delivered(claim, 1, 2), release=ClaimRelease(0.0))
    await webhooks.settle(back)
    assert (await webhooks.claim_one()).reached == 3


async def test_no_more_endpoints_are_made_than_may_be(webhooks: WebhooksWorld) -> None:
    await webhooks.endpoint(1)
    assert await webhooks.queries.value("webhook_create", 2, b"sealed", dict(USUAL), 1) is None
