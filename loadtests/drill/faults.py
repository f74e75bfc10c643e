"""The faults: how each is made and ended, and the alerts that it must lead to."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from config.deploy.alerts import PAGE, TICKET
from loadtests.drill.mall import DrilledMall, fill, frozen_tree
from loadtests.kit.fixtures import order_body
from loadtests.kit.stores import connect

# With less than 200 MB Postgres is about to stop writing (storage/health.py).
LEFT_BYTES = 150 * 1024 * 1024
# The search around a place comes every 0.83 s (load.py): both connections are busy for 0.47 s of it. Nobody waits for
# longer, which is within the server's patience.
SLOW_S = 1.3
_NEAR = "stores_near(double precision, double precision, double precision, integer)"
# Between two commands on the order whose row is held.
COMMAND_PAUSE_S = 2.0

Making = Callable[[DrilledMall], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class DrilledFault:
    """A fault.

    Attributes:
        make: a block for the length of which the fault is there.
        alerts: whichever of these is told first ends the time to detect.
        severity: whether that is a page or a ticket.
        along: further pages that are about this fault; any other page is a foreign one.
        steady_s: good service before it, so that windows of rates are filled.
        settings: of the server.
    """

    name: str
    text: str
    make: Making
    alerts: Sequence[str]
    severity: str = PAGE
    along: Sequence[str] = ()
    steady_s: float = 150.0
    settings: Mapping[str, str] = field(default_factory=dict)
    gateway: bool = False
    on_disk: bool = False


@asynccontextmanager
async def killed(mall: DrilledMall) -> AsyncIterator[None]:
    """The only instance is killed; nobody starts it again."""
    await mall.server.kill()
    try:
        yield
    finally:
        await mall.server.launch()


@asynccontextmanager
async def postgres_stopped(mall: DrilledMall) -> AsyncIterator[None]:
    """Postgres is stopped at once, as by a crash."""
    assert mall.stores is not None
    mall.stores.postgres.stop("immediate")
    try:
        yield
    finally:
        mall.stores.postgres.start()


@asynccontextmanager
async def postgres_frozen(mall: DrilledMall) -> AsyncIterator[None]:
    """All processes of Postgres stand still; connections stay open."""
    assert mall.stores is not None
    with frozen_tree(mall.stores.postgres.pid):
        yield


@asynccontextmanager
async def redis_away(mall: DrilledMall) -> AsyncIterator[None]:
    """Valkey is killed."""
    assert mall.stores is not None
    mall.stores.valkey.kill()
    try:
        yield
    finally:
        mall.stores.valkey.start()


@asynccontextmanager
async def errors(mall: DrilledMall) -> AsyncIterator[None]:
    """One request in ten fails: what the search around a place calls is gone from the database."""
    async with connect(mall.database_url) as owner:
        await owner.execute(f"ALTER FUNCTION {_NEAR} RENAME TO stores_lost")
        try:
            yield
        finally:
            await owner.execute(f"ALTER FUNCTION {_NEAR.replace('near', 'lost')} RENAME TO stores_near")


@asynccontextmanager
async def gateway_down(mall: DrilledMall) -> AsyncIterator[None]:
    """The payment gateway is killed."""
    assert mall.gateway is not None
    await mall.gateway.kill()
    try:
        yield
    finally:
        await mall.gateway.start()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work for the length of a block."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work, name="fault")
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def pool_full(mall: DrilledMall) -> AsyncIterator[None]:
    """A query has become slow: the search around a place keeps both connections of a small pool half of the time."""
    async with connect(mall.database_url) as owner, owner.transaction():
        shown = await owner.fetchval(f"SELECT pg_get_function_result('{_NEAR}'::regprocedure)")
        await owner.execute(f"ALTER FUNCTION {_NEAR} RENAME TO stores_quick")
        await owner.execute(
            f"CREATE FUNCTION {_NEAR} RETURNS {shown} LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({SLOW_S});"  # noqa: S608
            " RETURN QUERY SELECT * FROM stores_quick($1, $2, $3, $4); END $$"
        )
        await owner.execute(f"GRANT EXECUTE ON FUNCTION {_NEAR} TO PUBLIC")
    try:
        yield
    finally:
        async with connect(mall.database_url) as owner, owner.transaction():
            await owner.execute(f"DROP FUNCTION {_NEAR}")
            await owner.execute(f"ALTER FUNCTION {_NEAR.replace('near', 'quick')} RENAME TO stores_near")


async def _cancel_again_and_again(mall: DrilledMall, order: str) -> None:
    while True:
        key = f"drill-{secrets.token_hex(8)}"
        try:
            async with asyncio.timeout(COMMAND_PAUSE_S):
                await mall.admin.call(
                    "POST", f"/api/v2/orders/{order}/cancellation", {"reason": "drill"}, key=key
                )
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        await asyncio.sleep(COMMAND_PAUSE_S)


@asynccontextmanager
async def slow_lock(mall: DrilledMall) -> AsyncIterator[None]:
    """Somebody holds the row of an order in a transaction, as with psql, and the order is to be cancelled."""
    body = order_body(mall.zone.products) | {"payment": "card"}
    order = await mall.customer.do("POST", "/api/v2/orders", body, key=f"drill-{secrets.token_hex(8)}")
    number = int(order["id"].partition("_")[2])
    async with connect(mall.database_url) as person, person.transaction():
        await person.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", number)
        async with _beside(_cancel_again_and_again(mall, order["id"])):
            yield


@asynccontextmanager
async def dead_job(mall: DrilledMall) -> AsyncIterator[None]:
    """A job whose payload nobody can read: it becomes a dead letter, until somebody discards it."""
    job = {"task": "send_mail", "payload": {"letter": "unreadable"}, "trace": secrets.token_hex(16)}
    async with connect(mall.database_url) as owner:
        [made] = await owner.fetchval("SELECT enqueue_jobs($1::jsonb)", orjson.dumps([job]).decode())
        await owner.execute("SELECT pg_notify('mall_jobs', '')")
    try:
        yield
    finally:
        await mall.admin.persist("POST", f"/api/v2/jobs/job_{made}/discard")


@asynccontextmanager
async def disk_full(mall: DrilledMall) -> AsyncIterator[None]:
    """The disk with the data is filled by something else."""
    assert mall.disk is not None
    filling = fill(mall.disk, LEFT_BYTES)
    try:
        yield
    finally:
        filling.unlink()


# What users feel while nothing can be written.
_NO_WRITES = ("MallCommitsStandStill", "MallErrorBudgetBurn", "MallHighErrorRate", "MallNotReady")
FAULTS: Mapping[str, DrilledFault] = {
    fault.name: fault
    for fault in (
        DrilledFault("kill", "the only instance is killed", killed, ("MallDown",)),
        DrilledFault("postgres_stopped", "Postgres is stopped", postgres_stopped, _NO_WRITES),
        DrilledFault("postgres_frozen", "Postgres stands still", postgres_frozen, _NO_WRITES),
        DrilledFault("redis_away", "Valkey is killed", redis_away, ("MallRedisAway",), TICKET),
        DrilledFault("errors", "one request in ten fails", errors, ("MallHighErrorRate",)),
        DrilledFault(
            "gateway_down", "the payment gateway is killed", gateway_down, ("MallGatewayAway",),
            along=("MallPaymentsLate",), gateway=True,
        ),
        DrilledFault(
            "pool_full", "all connections of the pool wait", pool_full, ("MallPoolSlow",), TICKET,
            steady_s=300.0, settings={"MALL_POOL_SIZE": "2"},
        ),
        DrilledFault("slow_lock", "somebody holds an order's row", slow_lock, ("MallLocksHeld",), TICKET),
        DrilledFault("dead_job", "a job becomes a dead letter", dead_job, ("MallJobDead",), TICKET),
        DrilledFault(
            "disk_full", "the disk with the data is full", disk_full, ("MallDiskFull",),
            along=("MallNotReady",), on_disk=True,
        ),
    )
}  # fmt: skip
