"""The auditor: silent on whatever the server can write, and naming the one thing that was broken by hand."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

import run
from actors.clock import LoopClock, SystemRandomness
from actors.dedup import remember, ring_from
from actors.messages import ActorId, Command, Turn
from actors.shards import shard_of
from dispatch.audit_law import audit_law
from dispatch.domain import commands as c
from dispatch.domain.order import TERMINAL, TRANSITIONS, order_from
from dispatch.domain.order_decisions import decide
from dispatch.jobs.cleanup import FEED_DAYS
from dispatch.jobs.events import Event
from dispatch.jobs.policy import DONE, JobOutcome
from dispatch.jobs.relay import Relay
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.tasks import Job, NewJob, Payload, Permanent, Retries, Snooze, Task
from dispatch.jobs.worker import Worker
from dispatch.order_actor import _item
from dispatch.webhooks.sender import Sender
from dispatch.webhooks.store import QueryStore
from dispatch.webhooks.values import (
    Answer,
    Attempt,
    ClaimRelease,
    DeadLetter,
    LiveProgress,
    Message,
    Settlement,
    Trouble,
    WebhookClaim,
)
from storage.errors import StorageError, Unreachable
from storage.postgres.audit import CHECKS, ROWS_SHOWN, SLICE_ROWS, AuditReport, Law, audit
from storage.postgres.database import Database, open_database
from storage.postgres.journal import PostgresJournal
from storage.postgres.migrate import MigrationError
from storage.postgres.order_creation import OrderPlacer
from storage.postgres.queries import BLOCKS
from tests.conftest import copy_database, with_database
from tests.contracts.world import JournalWorld, seed
from tests.support.webhooks import Receivers, SilentObserver

LAW = audit_law(run_days=7)
ADMIN = c.By("admin", "usr_9")
NOBODY = 999_999
# Rows that are relayed by AuditedMall.work(); the others stay in the outbox.
RELAYED = 12
JOBS = {"done_job": 1, "dead_job": 2, "failed_job": 3, "held_job": 4, "next_job": 5, "new_job": 6}
# Types that endpoints want, by number.
ENDPOINTS: Mapping[int, Sequence[str]] = {1: (), 2: (), 3: (), 4: ("stock.out",)}
_ticks = itertools.count()


class AuditedMall:
    """Orders that live by the real decisions and the real functions. `orders`: their numbers by name."""

    def __init__(self, world: JournalWorld, database: Database) -> None:
        self.world = world
        self.database = database
        self.stored = StoredJobs(database)
        self.orders: dict[str, int] = {}

    async def place(self, name: str, **other: Any) -> None:
        answer = await self.world.order(key=name.ljust(16, "."), **other)
        assert answer["code"] == "created"
        self.orders[name] = answer["facts"]["id"]

    async def do(self, name: str, *commands: c.OrderCommand) -> None:
        """Each as an order's actor would: decide, remember, flush."""
        for command in commands:
            row = await self.world.row(self.orders[name])
            before = order_from(row, ring_from(row["recent"]))
            tick = next(_ticks)
            # Later than the order's creation by Postgres's clock, and never twice the same.
            now_ms = max(int(time.time() * 1000), before.updated_ms) + tick
            decision = decide(before, command, now_ms)
            assert isinstance(decision, c.Decision), decision
            after = decision.order.remembering(remember(before.recent, Command(f"c{tick}", "f"), ["x"]))
            item = _item(before, after, decision, Turn(now_ms, f"trace{tick}"))
            [outcome] = await self.world.flush(self._owned(item, "order"))
            assert outcome.ok, outcome

    async def limit(self, driver: int, capacity: int) -> None:
        """Another capacity, as the driver's actor would write it."""
        row = await self.world.driver(driver)
        item = {
            "kind": "driver", "id": driver, "version": row["version"], "status": "online", "capacity": capacity,
            "zone": row["zone_id"], "recent": [["c", "f", ["changed"]]],
        }  # fmt: skip
        [outcome] = await self.world.flush(self._owned(item, "driver"))
        assert outcome.ok, outcome

    def _owned(self, item: dict[str, Any], kind: str) -> dict[str, Any]:
        shard = shard_of(ActorId(kind, item["id"]))
        return item | {"shard": shard, "epoch": self.world.epochs[shard], "writer": f"w{next(_ticks)}"}

    async def live(self) -> None:
        """An order in every status, with every kind of event on the way, and every kind of key."""
        await self.place("unpaid", payment="card")
        await self.place("forgotten", payment="card", lines=((2, 1),))
        row = await self.world.row(self.orders["forgotten"])
        await self.do("forgotten", c.SetMode("open"), c.Expire(row["due_ms"]))
        await self.place("offered", lines=((1, 2), (2, 1)))
        await self.do("offered", c.MakeOffers(1, 0, (1, 3), 20_000), c.Decline(3))
        await self.place("waiting")
        await self.do("waiting", c.SetReady(ADMIN, 1_900_000_000_000), c.SetReady(ADMIN, 1_900_000_060_000))
        await self.place("retaken")
        await self.do("retaken", c.MakeOffers(1, 0, (1,), 20_000), c.Accept(1), c.Release(ADMIN, "flat tyre"))
        await self.do("retaken", c.Assign(ADMIN, 2), c.SetReady(ADMIN, 1_900_000_000_000), c.PickUp(2))
        await self.place("returned")
        await self.do("returned", c.Assign(ADMIN, 3), c.Reassign(ADMIN, 2, "dead phone"), c.PickUp(2))
        await self.do("returned", c.Conclude(ADMIN, "returned", "at the counter"))
        await self.place("held")
        await self.do("held", c.Assign(ADMIN, 2))
        await self.limit(2, 1)
        await self.place("first")
        await self.do("first", c.Assign(ADMIN, 1))
        await self.place("delivered")
        await self.do("delivered", c.Assign(ADMIN, 3), c.PickUp(3), c.Deliver(3))
        await self.place("failed")
        await self.do("failed", c.Assign(ADMIN, 3), c.Fail(3, "nobody there"))
        await self.place("cancelled", lines=((2, 2),))
        await self.do("cancelled", c.Assign(ADMIN, 3), c.Cancel(ADMIN, "sold out"))
        assert (await self.world.order(key="too many........", lines=((2, 9),)))["code"] == "out_of_stock"

    async def work(self) -> None:
        """Relay some rows of the outbox, and leave jobs in every state; their numbers are those of JOBS."""
        for number, kinds in ENDPOINTS.items():
            await self.listen(number, kinds)
        assert await Relay(self.stored, batch=RELAYED, following=lambda _: ()).relay_batch() == RELAYED
        new = [NewJob("mail", {}, key) for key in (None, None, None, "key", "key", None)]
        assert await self.stored.enqueue(new, "t") == sorted(JOBS.values())
        done, dead, failed, _ = (await self.stored.claim("w/1", {"mail": 4}, 1e6, alone=False)).jobs
        ended = [
            (done, DONE),
            (dead, JobOutcome("dead", error="no")),
            (failed, JobOutcome("retry", after_s=1e6)),
        ]
        assert len(await self.stored.finish("w/1", [end.item(job, 0.1) for job, end in ended])) == len(ended)

    async def listen(self, number: int, kinds: Sequence[str] = (), **filters: Any) -> None:
        """An endpoint for webhooks, from the end of the log on."""
        usual = {
            "zone_ids": [],
            "store_ids": [],
            "owner_user_id": 100,
            "on_refused": "skip",
            "description": None,
        }
        values = {"url": f"https://{number}.example/", "types": [*kinds], **usual, **filters}
        assert await self.database.value("webhook_create", number, b"sealed", values, 100) == number

    async def send(self) -> None:
        """Endpoints that are through, failing behind a dead letter, claimed, and not woken; notices in every state."""
        store = QueryStore(self.database, LoopClock(asyncio.get_running_loop()), name="w", life="1")
        claims = {claim.endpoint: claim for claim in await store.claim(9, 9, 60.0)}
        assert set(claims) == {1, 2, 3}
        end = (await store.read(claims[1].filters, 0, None, 1)).log_end
        through = sent(claims[1], range(1, end + 1), ClaimRelease(None))
        letter = DeadLetter(4, 400, 5)
        failing = sent(claims[2], (1, 2, 3), ClaimRelease(600.0), dead=(letter,), trouble=Trouble(1, 0.0))
        held = sent(claims[3], (1,), None)
        assert await store.settle([through, failing, held], 60.0) == {1, 2, 3}
        base = {"topic": "order", "order_id": self.orders["held"], "user_id": 100, "store_id": 0, "channel": "mail",
                "type": "placed", "trace": "t"}  # fmt: skip
        new = [base | {"version": version} for version in range(1, 5)]
        assert await self.database.value("notices_add", new) == len(new)
        for number, status, why in ((1, "sent", None), (2, "dropped", "old"), (3, "dead", "refused")):
            assert await self.database.value("notice_settle", number, status, why)

    async def cycle(self, name: str) -> None:
        """One short life."""
        await self.place(name)
        await self.do(name, c.MakeOffers(1, 0, (3,), 20_000), c.Accept(3), c.PickUp(3), c.Deliver(3))


def sent(
    claim: WebhookClaim,
    places: Sequence[int],
    release: ClaimRelease | None,
    dead: Sequence[DeadLetter] = (),
    trouble: Trouble | None = None,
) -> Settlement:
    """These events were taken, and the next ones are dead letters."""
    now = asyncio.get_running_loop().time()
    attempts = tuple(Attempt(f"evt_{pos}", pos, None, now, Answer(204)) for pos in places)
    live = LiveProgress(max([*places, *(letter.pos for letter in dead)]), trouble or Trouble())
    return Settlement(
        claim.endpoint,
        claim.number,
        1,
        claim.version,
        claim.wakes,
        attempts,
        tuple(dead),
        live,
        release=release,
    )


@asynccontextmanager
async def open_mall(url: str) -> AsyncIterator[AuditedMall]:
    """A mall at work on a seeded database, connections closed behind it."""
    async with open_database(url, size_max=4) as database:
        journal = PostgresJournal(url, database, lambda *_: None)
        world = JournalWorld(journal, OrderPlacer(database))
        await world.claim()
        try:
            yield AuditedMall(world, database)
        finally:
            await journal.close()


class Healthy:
    """A database in which the mall has lived; `orders`: the numbers of its orders by name."""

    def __init__(self, url: str, orders: dict[str, int]) -> None:
        self.url = url
        self.orders = orders
        self._copies = itertools.count(1)

    async def places(self) -> dict[str, int]:
        """In the feed of driver 3: behind the last entry, and of the delivery."""
        owner = await asyncpg.connect(self.url)
        end = await owner.fetchval("SELECT feed_seq + 1 FROM drivers WHERE id = 3")
        delivered = await owner.fetchval(
            "SELECT seq FROM driver_events WHERE driver_id = 3 AND type = 'order.delivered' AND order_id = $1",
            self.orders["delivered"],
        )
        await owner.close()
        return {"feed_end": end, "delivered_seq": delivered} | JOBS

    async def copy(self) -> str:
        """A copy to be broken."""
        name = urlsplit(self.url).path.removeprefix("/")
        copied = f"{name}_broken_{next(self._copies)}"
        owner = await asyncpg.connect(with_database(self.url, "postgres"))
        await owner.execute(f"CREATE DATABASE {copied} TEMPLATE {name}")
        await owner.close()
        return with_database(self.url, copied)


@pytest.fixture(
    scope="module", params=["template_server", pytest.param("template_server_15", marks=pytest.mark.long)]
)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
async def healthy_database(server: str) -> Healthy:
    url = await copy_database(server)
    await seed(url)
    async with open_mall(url) as mall:
        await mall.live()
        await mall.work()
        await mall.send()
    return Healthy(url, mall.orders)


async def alter(url: str, *statements: str) -> None:
    """As the owner, past functions, triggers and foreign keys."""
    owner = await asyncpg.connect(url)
    await owner.execute("SET session_replication_role = replica")
    for statement in statements:
        await owner.execute(statement)
    await owner.close()


def broken(report: AuditReport) -> dict[str, list[str]]:
    """The keys of what is broken, by check."""
    return {f.check.name: [key for key, _ in f.rows] for f in report.findings if f.broken}


# -- what is legal --------------------------------------------------------------------------------


async def test_database_that_the_functions_made_is_clean(healthy_database: Healthy) -> None:
    report = await audit(healthy_database.url, LAW)
    assert broken(report) == {}
    assert report.holds
    owner = await asyncpg.connect(healthy_database.url)
    statuses = {row[0] for row in await owner.fetch("SELECT DISTINCT status FROM orders")}
    events = {row[0] for row in await owner.fetch("SELECT DISTINCT type FROM order_events")}
    over = await owner.fetchval("SELECT count(*) FROM assignment WHERE driver_id = 2")
    await owner.close()
    assert statuses == {status for status, _ in TRANSITIONS} | TERMINAL, "or less was audited than it seems"
    # `paid` has no command yet.
    assert events >= {event for _, event in TRANSITIONS} - {"paid"}
    assert over == 2, "driver 2 carries more than its lowered capacity"


async def test_empty_database_is_clean(server: str) -> None:
    assert broken(await audit(await copy_database(server), LAW)) == {}


async def test_result_does_not_depend_on_how_tables_are_sliced(
    healthy_database: Healthy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in SLICE_ROWS:
        monkeypatch.setitem(SLICE_ROWS, table, 1)
    assert broken(await audit(healthy_database.url, LAW)) == {}
    url = await healthy_database.copy()
    await alter(url, f"INSERT INTO assignment VALUES ({NOBODY}, 1, 7, now()), (-5, 1, 8, now())")
    assert broken(await audit(url, LAW))["assignments"] == ["ord_-5", f"ord_{NOBODY}"]


async def test_trimmed_feed_is_clean_whichever_old_entries_went_first(healthy_database: Healthy) -> None:
    url = await healthy_database.copy()
    past = (
        "driver_events.at",
        "order_events.at",
        "assignment.since",
        "orders.updated_at",
        "users.created_at",
    )
    names = [name.split(".") for name in past]
    await alter(
        url, *(f"UPDATE {table} SET {column} = {column} - interval '8 days'" for table, column in names)
    )
    # From the middle, as trimming in bites may leave it.
    await alter(url, "DELETE FROM driver_events WHERE driver_id = 3 AND seq = 2")
    async with open_mall(url) as mall:
        await mall.cycle("after trimming")
    assert broken(await audit(url, LAW)) == {}
    await alter(url, f"SELECT trim_expired({FEED_DAYS}, 5000)")
    assert broken(await audit(url, LAW)) == {}
    owner = await asyncpg.connect(url)
    assert await owner.fetchval("SELECT min(seq) > 3 FROM driver_events WHERE driver_id = 3")
    await owner.execute("DELETE FROM driver_events WHERE seq = (SELECT max(seq) - 1 FROM driver_events)")
    await owner.close()
    assert set(broken(await audit(url, LAW))) == {"feed_gaps", "feed_news"}, "a young one is missed"


async def test_account_that_was_deleted_and_driver_that_got_another_role_are_clean(
    healthy_database: Healthy,
) -> None:
    url = await healthy_database.copy()
    owner = await asyncpg.connect(url)
    await owner.execute(
        "UPDATE drivers SET status = 'offline' WHERE id = 3;"
        "UPDATE users SET role = 'customer', drove = true WHERE id = 3"
    )
    found = set(broken(await audit(url, LAW)))
    # As anonymise_user() leaves orders, which has to wait here for those under way.
    await owner.execute("UPDATE users SET status = 'deleted' WHERE id = 100")
    await owner.execute(
        "UPDATE orders SET address = 'deleted', notes = NULL, dropoff_lat = round(dropoff_lat::numeric, 2)"
    )
    await owner.close()
    assert found == set()
    assert broken(await audit(url, LAW)) == {}


async def test_database_at_work_is_clean_at_every_moment(healthy_database: Healthy) -> None:
    url, audits = await healthy_database.copy(), 0

    async def work(mall: AuditedMall) -> None:
        for number in itertools.count():
            if audits > 1 and number > 20:
                return
            await mall.cycle(f"order {number}")

    async with open_mall(url) as mall, asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work(mall))
        await mall.listen(5)
        await mall.listen(6, ("order.delivered",), store_ids=[1])
        others = [tasks.create_task(run) for run in (*_background(mall.stored), *_senders(mall.database))]
        while not working.done():
            assert broken(await audit(url, LAW)) == {}
            audits += 1
        owner = await asyncpg.connect(url)
        while await owner.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            assert broken(await audit(url, LAW)) == {}
        kinds = {
            row[0] for row in await owner.fetch("SELECT DISTINCT outcome FROM job_runs WHERE task = 'note'")
        }
        await owner.close()
        for other in others:
            other.cancel()
    assert kinds == {"done", "retry", "dead", "snoozed"}, "or less was audited than it seems"


def _background(stored: StoredJobs) -> list[Coroutine[Any, Any, None]]:
    """Two relays, and two workers whose jobs end in every way."""

    async def note(payload: Payload, job: Job) -> None:
        del payload
        if job.id % 5 == 0 and job.attempts == 1:
            raise Snooze(0)
        if job.id % 3 == 0 and job.attempts < 3:
            raise OSError("away")
        if job.id % 17 == 1:
            raise Permanent("no such address")

    def follow(event: Event) -> list[NewJob]:
        return [NewJob("note", {}, f"note/{event.ref}"), NewJob("note", {})]

    clock = LoopClock(asyncio.get_running_loop())
    tasks = [Task("note", Payload, note, Retries(first_s=0.01, max_s=0.02))]
    workers = [Worker(stored, tasks, clock, SystemRandomness(), name=name, life="1") for name in ("a", "b")]
    relays = [Relay(stored, batch=10, following=follow) for _ in range(2)]
    return [*(worker.run(asyncio.Event()) for worker in workers), *(relay.run() for relay in relays)]


def _senders(database: Database) -> list[Coroutine[Any, Any, None]]:
    """Two senders; an endpoint fails at times."""
    clock = LoopClock(asyncio.get_running_loop())
    receivers = Receivers()
    receivers.takes_s = dict.fromkeys(range(1, 7), 0.001)

    def fails(message: Message, number: int) -> Answer:
        del message
        return Answer(503 if number % 7 == 1 else 204)

    receivers.says = {5: fails}
    senders = [
        Sender(
            QueryStore(database, clock, name=name, life="1"),
            receivers,
            clock,
            SystemRandomness(),
            SilentObserver(),
        )
        for name in ("a", "b")
    ]
    return [sender.run(asyncio.Event()) for sender in senders]


async def test_endpoint_that_passed_over_events_by_a_persons_wish_is_clean(healthy_database: Healthy) -> None:
    url = await healthy_database.copy()
    async with open_mall(url) as mall:
        await mall.database.value("webhook_enable", 3, True)
        await mall.listen(5, ("stock.low",))
        await mall.cycle("passed over")
        relay = Relay(mall.stored, batch=100, following=lambda _: ())
        while await relay.relay_batch():
            pass
        store = QueryStore(mall.database, LoopClock(asyncio.get_running_loop()), name="w", life="1")
        claims = {claim.endpoint: claim for claim in await store.claim(9, 9, 60.0)}
        await mall.database.value("webhook_change", 1, None, {"types": ["stock.out"]})
        await mall.database.value("webhook_change", 5, None, {"types": []})
        batch = await store.read(claims[1].filters, claims[1].reached, None, 100)
        await store.settle([sent(claims[1], [event.pos for event in batch.events], ClaimRelease(None))], 60.0)
        assert broken(await audit(url, LAW)) == {}
        await mall.database.value("webhook_change", 1, None, {"types": []})
    assert broken(await audit(url, LAW)) == {}


async def test_audit_waits_for_no_lock_that_a_writer_holds(healthy_database: Healthy) -> None:
    url = await healthy_database.copy()
    writer = await asyncpg.connect(url)
    async with writer.transaction():
        for table in ("shard", "orders", "drivers", "assignment", "driver_events", "idempotency"):
            await writer.execute(f"SELECT FROM {table} FOR UPDATE")
        await writer.execute("UPDATE orders SET status = 'delivered'")
        async with asyncio.timeout(30):
            assert broken(await audit(url, LAW)) == {}
    await writer.close()


# -- what is broken -------------------------------------------------------------------------------

# (checks that must report it, what was done to the database, the key that the first of them names).
# {name} is the number of an order of Mall.live().
BROKEN: list[tuple[str, str, str]] = [
    ("assignments", "DELETE FROM assignment WHERE order_id = {held}", "ord_{held}"),
    (
        "assignments slot_order schema",
        "ALTER TABLE assignment DROP CONSTRAINT assignment_pkey;"
        "INSERT INTO assignment SELECT order_id, driver_id, 7, since FROM assignment WHERE order_id = {held}",
        "ord_{held}",
    ),
    (
        "assignments",
        "INSERT INTO assignment SELECT order_id, 3, 0, at FROM order_events"
        " WHERE order_id = {delivered} AND type = 'assigned'",
        "ord_{delivered}",
    ),
    ("assignments", "INSERT INTO assignment VALUES (999999, 3, 0, now())", "ord_999999"),
    ("carriers", "UPDATE assignment SET driver_id = 3, slot = 0 WHERE order_id = {held}", "ord_{held}"),
    ("carriers", "UPDATE assignment SET since = since + '1 ms'::interval WHERE order_id = {held}", "ord_{held}"),
    ("slots slot_order", "UPDATE assignment SET slot = 20 WHERE order_id = {held}", "drv_2"),
    ("slots", "UPDATE assignment SET slot = 1 WHERE order_id = {first}", "drv_1"),
    (
        "slots schema",
        "ALTER TABLE assignment DROP CONSTRAINT assignment_driver_id_slot_key;"
        "UPDATE assignment SET slot = 0 WHERE order_id = {held}",
        "drv_2",
    ),
    ("history", "DELETE FROM order_events WHERE order_id = {waiting} AND version = 2", "ord_{waiting}"),
    ("history relayed", "DELETE FROM order_events WHERE order_id = {waiting} AND version = 1", "ord_{waiting}"),
    ("history relayed", "DELETE FROM order_events WHERE order_id = {unpaid}", "ord_{unpaid}"),
    ("history", "UPDATE orders SET version = 4 WHERE id = {waiting}", "ord_{waiting}"),
    ("history relayed", "UPDATE order_events SET type = 'created' WHERE order_id = {waiting}", "ord_{waiting}"),
    (
        "history relayed",
        "INSERT INTO order_events VALUES (999999, 1, 'created', 'customer', 'usr_100', NULL, 't', now())",
        "ord_999999",
    ),
    (
        "moves relayed",
        "UPDATE order_events SET type = 'paid' WHERE order_id = {waiting} AND version = 2",
        "ord_{waiting}",
    ),
    ("outcomes", "UPDATE orders SET status = 'undeliverable' WHERE id = {delivered}", "ord_{delivered}"),
    ("outcomes", "UPDATE orders SET driver_id = 2 WHERE id = {delivered}", "ord_{delivered}"),
    ("outcomes", "UPDATE orders SET driver_id = 2 WHERE id = {waiting}", "ord_{waiting}"),
    ("outcomes", "UPDATE orders SET updated_at = now() + '1 h'::interval WHERE id = {unpaid}", "ord_{unpaid}"),
    (
        "outcomes feed_offers",
        "UPDATE orders SET version = 5 WHERE id = {delivered};"
        "INSERT INTO order_events SELECT id, 5, 'ready_time_set', 'admin', 'usr_9', NULL, 't', updated_at"
        " FROM orders WHERE id = {delivered}",
        "ord_{delivered}",
    ),
    ("winners rounds", "UPDATE orders SET round = 1 WHERE id = {retaken}", "ord_{retaken}"),
    (
        # Two winners without a release are no legal moves either, and the first one's feed tells of a release.
        "winners moves feed_sources rounds feed_contents relayed",
        "UPDATE order_events SET type = 'noted' WHERE order_id = {retaken} AND type = 'released'",
        "ord_{retaken}",
    ),
    ("timers", "UPDATE orders SET due_at = NULL WHERE id = {unpaid}", "ord_{unpaid}"),
    ("timers", "UPDATE orders SET due_at = NULL WHERE id = {offered}", "ord_{offered}"),
    ("timers", "UPDATE orders SET due_at = due_at + '1 s'::interval WHERE id = {offered}", "ord_{offered}"),
    ("ends", "UPDATE orders SET due_at = now() WHERE id = {delivered}", "ord_{delivered}"),
    (
        "ends searches offers",
        "UPDATE orders SET search = (SELECT search FROM orders WHERE id = {offered}) WHERE id = {held}",
        "ord_{held}",
    ),
    ("totals feed_contents returns",
     "UPDATE order_items SET quantity = 9 WHERE order_id = {offered} AND line = 2", "ord_{offered}"),
    ("totals pickups", "DELETE FROM order_items WHERE order_id = {waiting}", "ord_{waiting}"),
    ("totals", "UPDATE order_items SET line = 3 WHERE order_id = {offered} AND line = 2", "ord_{offered}"),
    ("totals", "INSERT INTO order_items VALUES (999999, 1, 1, 'x', 1, 5)", "ord_999999"),
    ("totals keys", "UPDATE orders SET total_minor = 1 WHERE id = {waiting}", "ord_{waiting}"),
    ("currencies keys", "UPDATE orders SET currency = 'euro' WHERE id = {waiting}", "ord_{waiting}"),
    ("moves payments feed_contents keys",
     "UPDATE orders SET payment = 'card' WHERE id = {delivered}", "ord_{delivered}"),
    (
        "payments moves payment_steps feed_contents keys payment_keys payment_events",
        "UPDATE orders SET payment = 'card' WHERE id = {delivered};"
        "INSERT INTO payments (id, order_id, method, status, amount_minor, currency, principal_id, key_hash, trace)"
        " SELECT 77, id, 'card', 'voided', total_minor, currency, customer_id, '', '' FROM orders"
        " WHERE id = {delivered}",
        "pay_77",
    ),
    (
        "currencies payments payment_steps payment_keys payment_events",
        "INSERT INTO payments (order_id, method, status, amount_minor, currency, principal_id, key_hash, trace)"
        " VALUES ({waiting}, 'card', 'declined', (SELECT total_minor FROM orders WHERE id = {waiting}), 'USD', 1,"
        " '', '')",
        "ord_{waiting}",
    ),
    ("references listings keys", "UPDATE orders SET zone_id = 77 WHERE id = {waiting}", "ord_{waiting}"),
    ("references keys pickups", "UPDATE orders SET store_id = 77 WHERE id = {waiting}", "ord_{waiting}"),
    ("references keys listings", "UPDATE orders SET customer_id = 77 WHERE id = {waiting}", "ord_{waiting}"),
    ("references outcomes", "UPDATE orders SET driver_id = 77 WHERE id = {failed}", "ord_{failed}"),
    ("references", "UPDATE order_items SET product_id = 77 WHERE order_id = {waiting}", "ord_{waiting}"),
    ("listings", "UPDATE order_listing SET created_at = now() + '1 h' WHERE id = {waiting}", "ord_{waiting}"),
    ("listings store_numbers", "DELETE FROM order_listing WHERE id = {delivered}", "ord_{delivered}"),
    ("order_shards keys", "UPDATE orders SET shard = (shard + 1) % 256 WHERE id = {waiting}", "ord_{waiting}"),
    ("driver_shards", "UPDATE drivers SET shard = (shard + 1) % 256 WHERE id = 3", "drv_3"),
    ("order_memories", "UPDATE orders SET recent = recent || recent WHERE id = {held}", "ord_{held}"),
    (
        "order_memories",
        "UPDATE orders SET recent = (SELECT jsonb_agg(jsonb_build_array(n, 'f', 'x')) FROM generate_series(1, 33) n)"
        " WHERE id = {held}",
        "ord_{held}",
    ),
    ("order_memories", "UPDATE orders SET recent = '{{}}' WHERE id = {held}", "ord_{held}"),
    ("driver_memories", "UPDATE drivers SET recent = recent || recent WHERE id = 2", "drv_2"),
    ("feed_bounds", "UPDATE drivers SET feed_seq = feed_seq - 1 WHERE id = 3", "drv_3"),
    (
        "feed_bounds",
        "INSERT INTO driver_events VALUES (77, 1, 'note', {waiting}, now(), 't', '{{}}')",
        "drv_77",
    ),
    ("feed_bounds", "INSERT INTO driver_events VALUES (3, 0, 'note', {waiting}, now(), 't', '{{}}')", "drv_3"),
    ("feed_gaps", "UPDATE drivers SET feed_seq = feed_seq + 1 WHERE id = 3", "drv_3"),
    ("feed_gaps feed_offers", "DELETE FROM driver_events WHERE driver_id = 1 AND type = 'offer' AND seq = 1", "drv_1"),
    ("feed_sources feed_offers", "UPDATE driver_events SET trace = 'x' WHERE driver_id = 1 AND seq = 1", "drv_1 seq 1"),
    (
        "feed_sources",
        """UPDATE driver_events SET data = jsonb_set(data, '{{version}}', '99')
            WHERE driver_id = 3 AND type = 'order.delivered'""",
        "drv_3 seq {delivered_seq}",
    ),
    (
        "feed_sources",
        "INSERT INTO driver_events VALUES (1, 6, 'note', 999999, now(), 't', '{{}}');"
        "UPDATE drivers SET feed_seq = 6 WHERE id = 1",
        "drv_1 seq 6",
    ),
    (
        # Another driver was told that it has won.
        "feed_sources feed_news",
        "INSERT INTO driver_events SELECT 1, 6, type, order_id, at, trace, data FROM driver_events"
        " WHERE order_id = {held} AND type = 'order.assigned';"
        "UPDATE drivers SET feed_seq = 6 WHERE id = 1;"
        "UPDATE driver_events SET type = 'note' WHERE order_id = {held} AND driver_id = 2",
        "drv_1 seq 6",
    ),
    ("feed_news", "UPDATE driver_events SET type = 'note' WHERE type = 'order.delivered'", "ord_{delivered}"),
    ("feed_news", "UPDATE driver_events SET type = 'note' WHERE type = 'order.released'", "ord_{retaken}"),
    (
        "keys",
        "UPDATE idempotency SET facts = jsonb_set(facts, '{{id}}', '999999') WHERE facts ->> 'id' = '{waiting}'",
        "usr_100 r {waiting_key}",
    ),
    (
        "keys",
        "UPDATE idempotency SET facts = '{{}}' WHERE facts ->> 'id' = '{waiting}'",
        "usr_100 r {waiting_key}",
    ),
    (
        "keys",
        "INSERT INTO idempotency SELECT principal_id, route, '\\xff', fingerprint, code, facts, created_at, expires_at"
        " FROM idempotency WHERE facts ->> 'id' = '{waiting}'",
        "usr_100 r {waiting_key}",
    ),
    ("keys store_numbers relayed",
     "DELETE FROM orders WHERE id = {unpaid}; DELETE FROM order_events WHERE order_id = {unpaid};"
             "DELETE FROM order_items WHERE order_id = {unpaid}; DELETE FROM order_listing WHERE id = {unpaid}",
     "usr_100 r {unpaid_key}"),
    ("keys listings relayed",
     "DELETE FROM orders WHERE id = {unpaid}; DELETE FROM order_events WHERE order_id = {unpaid};"
                      "DELETE FROM order_items WHERE order_id = {unpaid}", "usr_100 r {unpaid_key}"),
    (
        "stock schema",
        "ALTER TABLE products DROP CONSTRAINT products_stock_check; UPDATE products SET stock = -1 WHERE id = 2",
        "prd_2",
    ),
    (
        "prices schema",
        "ALTER TABLE products DROP CONSTRAINT products_price_minor_check;"
        "UPDATE products SET price_minor = -1 WHERE id = 2",
        "prd_2",
    ),
    ("cluster", "UPDATE cluster_meta SET shards = 128", "cluster_meta"),
    ("cluster", "DELETE FROM cluster_meta", "cluster_meta"),
    ("epochs", "DELETE FROM shard WHERE id = 7", "shard 7"),
    ("epochs", "INSERT INTO shard (id) VALUES (256)", "shard 256"),
    ("epochs", "UPDATE shard SET incarnation = NULL WHERE id = 9", "shard 9"),
    ("numbers", "SELECT setval('order_id_seq', 1)", "order_id_seq"),
    (
        "feed_once",
        "INSERT INTO driver_events SELECT 3, 1 + (SELECT feed_seq FROM drivers WHERE id = 3), type,"
        " order_id, at, trace, data"
        " FROM driver_events WHERE driver_id = 3 AND type = 'order.cancelled';"
        "UPDATE drivers SET feed_seq = feed_seq + 1 WHERE id = 3",
        "drv_3 seq {feed_end}",
    ),
    (
        "feed_order",
        "UPDATE driver_events SET seq = -1 WHERE driver_id = 3 AND order_id = {delivered} AND type = 'order.picked_up';"
        "UPDATE driver_events SET seq = seq - 1 WHERE driver_id = 3 AND order_id = {delivered} AND"
        " type = 'order.delivered';"
        "UPDATE driver_events SET seq = (SELECT seq + 1 FROM driver_events WHERE order_id = {delivered}"
        " AND type = 'order.delivered') WHERE driver_id = 3 AND seq = -1",
        "drv_3 seq {delivered_seq}",
    ),
    ("horizons", "UPDATE orders SET due_at = '2099-01-01' WHERE id = {unpaid}", "ord_{unpaid}"),
    ("roles", "UPDATE users SET role = 'customer' WHERE id = 3", "drv_3"),
    (
        "gateway payment_steps payment_keys payment_events",
        "INSERT INTO payments (id, order_id, method, status, amount_minor, currency, principal_id,"
        " key_hash, trace, due_at)"
        " SELECT 78, id, 'card', 'held', total_minor, currency, customer_id, '', '', now() FROM orders"
        " WHERE id = {unpaid}",
        "pay_78",
    ),
    ("relayed places", "DELETE FROM event_log WHERE pos = 5", "ord_{offered}"),
    ("relayed", "DELETE FROM outbox WHERE id = (SELECT max(id) FROM outbox)", "ord_11"),
    ("relayed", "INSERT INTO outbox (topic, ref, version) SELECT topic, ref, version FROM outbox WHERE id ="
                " (SELECT max(id) FROM outbox)", "ord_11"),
    (
        "relayed",
        "INSERT INTO outbox (topic, ref, version) SELECT 'order', ref, version FROM event_log WHERE pos = 5",
        "ord_{offered}",
    ),
    ("relayed", "INSERT INTO outbox (topic, ref, version) VALUES ('order', {waiting}, 2)", "ord_{waiting}"),
    ("relayed", "UPDATE event_log SET ref = 999999 WHERE pos = 5", "ord_{offered}"),
    ("relayed places", "UPDATE event_log SET type = 'order.delivered' WHERE pos = 2", "ord_{forgotten}"),
    (
        "payment_events",
        "INSERT INTO outbox (topic, ref, version, trace, data)"
        " SELECT 'payment', 79, 2, 't', '{{\"event\": \"declined\"}}' FROM generate_series(1, 2);"
        "INSERT INTO payments (id, order_id, method, status, amount_minor, currency, principal_id, key_hash, trace,"
        " version, created_at) SELECT 79, id, 'card', 'declined', total_minor, currency, customer_id, '', '', 2,"
        " now() - interval '7 days' FROM orders WHERE id = {unpaid}",
        "pay_79",
    ),
    (
        "places",
        "UPDATE event_log SET body = replace(encode(body, 'escape'), '\"sequence\":5,', '\"sequence\":6,')::bytea"
        " WHERE pos = 5",
        "evt_5",
    ),
    (
        "places relayed schema",
        "ALTER TABLE event_log DROP CONSTRAINT event_log_pkey, DROP CONSTRAINT event_log_ref_version_type_key;"
        "INSERT INTO event_log SELECT * FROM event_log WHERE pos = 5",
        "evt_5",
    ),
    ("log_end", "UPDATE event_log_end SET pos = pos + 1", "event_log_end"),
    ("log_end", "DELETE FROM event_log_end", "event_log_end"),
    ("log_end relayed", "DELETE FROM event_log WHERE pos = (SELECT max(pos) FROM event_log)", "event_log_end"),
    ("jobs", "UPDATE jobs SET begun_at = NULL WHERE id = {held_job}", "job {held_job}"),
    ("jobs", "UPDATE jobs SET begun_at = now() WHERE id = {failed_job}", "job {failed_job}"),
    ("jobs", "UPDATE jobs SET due_at = NULL WHERE id = {held_job}", "job {held_job}"),
    ("jobs", "UPDATE jobs SET attempts = 0 WHERE id = {held_job}", "job {held_job}"),
    ("jobs", "UPDATE jobs SET died_at = NULL WHERE id = {dead_job}", "job {dead_job}"),
    ("jobs", "UPDATE jobs SET died_at = now() WHERE id = {failed_job}", "job {failed_job}"),
    ("jobs", "UPDATE jobs SET failures = 2 WHERE id = {failed_job}", "job {failed_job}"),
    ("jobs", "UPDATE jobs SET deaths = 4 WHERE id = {failed_job}", "job {failed_job}"),
    ("jobs", "DELETE FROM job_runs WHERE id = {dead_job}", "job {dead_job}"),
    (
        "turns",
        "UPDATE jobs SET worker = 'w/2', begun_at = now(), attempts = 1, due_at = now() + interval '1 h'"
        " WHERE id = {next_job}",
        "job {next_job}",
    ),
    ("runs", "INSERT INTO job_runs SELECT * FROM job_runs WHERE id = {done_job}", "job {done_job}"),
    ("runs", "UPDATE job_runs SET outcome = 'done' WHERE id = {failed_job}", "job {failed_job}"),
    ("cursors", "UPDATE webhook_endpoints SET reached = reached + 1 WHERE id = 1", "whk_1"),
    ("cursors", "UPDATE webhook_endpoints SET gapless_from = reached + 1 WHERE id = 2", "whk_2"),
    ("cursors", "UPDATE webhook_endpoints SET sender = NULL WHERE id = 3", "whk_3"),
    ("cursors", "UPDATE webhook_endpoints SET leased_until = now() + interval '2 h' WHERE id = 3", "whk_3"),
    ("cursors", "UPDATE webhook_endpoints SET unsettled = 3 WHERE id = 3", "whk_3"),
    ("cursors", "UPDATE webhook_endpoints SET due_at = now() + interval '2 days' WHERE id = 2", "whk_2"),
    ("deliveries", "UPDATE webhook_endpoints SET reached = 2 WHERE id = 3", "whk_3"),
    ("deliveries", "DELETE FROM webhook_attempts WHERE endpoint_id = 1 AND pos = 3", "whk_1"),
    ("deliveries", "UPDATE webhook_attempts SET status = 500 WHERE endpoint_id = 1 AND pos = 3", "whk_1"),
    ("deliveries", "UPDATE webhook_attempts SET message = 'gap_1_3' WHERE endpoint_id = 1 AND pos = 3", "whk_1"),
    ("deliveries", "DELETE FROM webhook_dead_letters WHERE endpoint_id = 2", "whk_2"),
    ("deliveries", "UPDATE webhook_endpoints SET due_at = NULL WHERE id = 2", "whk_2"),
    ("notices", "DELETE FROM jobs WHERE id = (SELECT job_id FROM notices WHERE id = 4)", "notice 4"),
    ("notices", "UPDATE notices SET job_id = {dead_job} WHERE id = 4", "notice 4"),
    ("notices", "UPDATE notices SET sent_at = NULL WHERE id = 1", "notice 1"),
    ("notices", "UPDATE notices SET sent_at = now() WHERE id = 4", "notice 4"),
    ("notices", "UPDATE notices SET why = NULL WHERE id IN (2, 3)", "notice 2"),
]  # fmt: skip


@pytest.mark.parametrize(("checks", "done", "key"), BROKEN, ids=lambda value: value[:70])
async def test_what_was_broken_by_hand_is_named_by_its_check_alone(
    healthy_database: Healthy, checks: str, done: str, key: str
) -> None:
    keys = {f"{name}_key": name.ljust(16, ".").encode().hex() for name in healthy_database.orders}
    names = healthy_database.orders | keys | await healthy_database.places()
    url = await healthy_database.copy()
    await alter(url, done.format(**names))
    report = await audit(url, LAW)
    assert not report.holds
    found = broken(report)
    assert set(found) == set(checks.split())
    assert key.format(**names) in found[checks.split()[0]]


def test_every_check_has_been_seen_to_report() -> None:
    assert {name for checks, _, _ in BROKEN for name in checks.split()} == {check.name for check in CHECKS}


async def test_everything_broken_is_counted_and_only_the_first_are_shown(healthy_database: Healthy) -> None:
    url = await healthy_database.copy()
    await alter(url, "UPDATE shard SET incarnation = NULL")
    [finding] = [f for f in (await audit(url, LAW)).findings if f.broken]
    assert finding.broken == 256
    assert [key for key, _ in finding.rows] == [f"shard {n}" for n in range(ROWS_SHOWN)]


def test_table_in_which_an_event_leads_to_two_statuses_is_refused() -> None:
    with pytest.raises(ValueError, match="two statuses"):
        Law({("a", "go"): "b", ("b", "go"): "c"}, (), 7, {}, 7)


def test_terminal_statuses_follow_from_the_table() -> None:
    assert LAW.terminal == TERMINAL


# -- the command ----------------------------------------------------------------------------------


async def verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, *options: str
) -> tuple[int, str]:
    """Exit code and output of `run.py verify`, in a thread of its own for its own loop."""
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    monkeypatch.setenv("MALL_ADMIN_PASSWORD", "long enough")
    code = await asyncio.to_thread(run.main, ["verify", *options])
    said = capsys.readouterr()
    return code, said.out + said.err


async def test_command_prints_a_line_per_invariant_and_ends_with_zero(
    healthy_database: Healthy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = await verify(monkeypatch, capsys, healthy_database.url)
    *lines, last = said.splitlines()
    assert code == 0
    assert [line.split()[:2] for line in lines] == [["ok", check.name] for check in CHECKS]
    assert last.endswith("all hold")


async def test_command_names_what_is_broken_and_ends_with_one(
    healthy_database: Healthy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = await healthy_database.copy()
    await alter(url, "UPDATE drivers SET feed_seq = feed_seq + 2 WHERE id = 3")
    code, said = await verify(monkeypatch, capsys, url)
    assert code == 1
    assert ["BROKEN", "1", "feed_gaps"] in [line.split()[:3] for line in said.splitlines()]
    assert "    drv_3: 2 entries missing" in said
    assert said.splitlines()[-1].endswith("1 are broken")


async def test_json_of_the_command_says_the_same_to_machines(
    healthy_database: Healthy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = await healthy_database.copy()
    await alter(url, "DELETE FROM shard WHERE id = 7")
    code, said = await verify(monkeypatch, capsys, url, "--json")
    report = json.loads(said)
    assert code == 1
    assert report["holds"] is False
    assert [x["name"] for x in report["invariants"]] == [check.name for check in CHECKS]
    [found] = [x for x in report["invariants"] if not x["holds"]]
    assert (found["name"], found["broken"]) == ("epochs", 1)
    assert found["rows"] == [{"key": "shard 7", "why": "has no row"}]


async def test_command_ends_with_two_when_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = await verify(monkeypatch, capsys, "postgresql://x@127.0.0.1:9/x")
    assert code == 2
    assert said.startswith("Cannot reach the database: Unreachable")
    assert "Traceback" not in said


async def test_database_that_is_not_ours_is_no_broken_one(template_server: str) -> None:
    with pytest.raises(MigrationError, match=r"run\.py migrate"):
        await audit(with_database(template_server, "postgres"), LAW)
    with pytest.raises(StorageError, match="InvalidCatalogName") as caught:
        await audit(with_database(template_server, "nowhere"), LAW)
    assert not isinstance(caught.value, Unreachable)


async def test_audit_writes_nothing_even_as_the_owner(
    healthy_database: Healthy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await healthy_database.copy()
    monkeypatch.setitem(BLOCKS, "audit_stock", "UPDATE products SET stock = 0 WHERE id > $1 AND id <= $2")
    with pytest.raises(StorageError, match="ReadOnlySQLTransaction"):
        await audit(url, LAW)
