"""A person holds a row in psql while an instance works: a real Postgres, and the runtime as it serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from actors.clock import LoopClock, SystemRandomness
from actors.messages import ActorId, Emit
from actors.runtime import Runtime
from actors.shards import shard_of
from dispatch.driver_actor import DriverBehaviour, driver_ref
from dispatch.messages import Reply, SetAvailability
from dispatch.order_actor import OrderBehaviour
from dispatch.service import Caller, Dispatch
from dispatch.zone_actor import ZoneBehaviour
from storage.postgres.database import open_database
from storage.postgres.journal import PostgresJournal
from storage.postgres.order_creation import OrderPlacer
from tests.support.waiting import until

DRIVERS = range(1, 31)
ROWS = ", ".join(f"({n}, {shard_of(ActorId('driver', n))}, 1)" for n in DRIVERS)
SEED = f"""
INSERT INTO zones (id, name) VALUES (1, 'zone 1');
INSERT INTO users (id, email, role, name)
SELECT n, n || '@x.example', 'driver', 'driver ' || n FROM generate_series(1, {DRIVERS[-1]}) n;
INSERT INTO drivers (id, shard, zone_id) VALUES {ROWS};
"""


class _Nobody:
    """There are no sessions."""

    def emit(self, emit: Emit, trace: str) -> None:
        del emit, trace


@asynccontextmanager
async def _services(url: str, said: list[tuple[str, dict[str, Any]]]) -> AsyncIterator[Dispatch]:
    """Dispatch over a real journal, and what it logs."""

    def log(event: str, **values: Any) -> None:
        said.append((event, values))

    async with open_database(url, size_max=4) as database:
        journal = PostgresJournal(url, database, lambda *_: None)
        runtime = Runtime(
            instance="one", behaviours=[OrderBehaviour(), DriverBehaviour("e"), ZoneBehaviour()], journal=journal,
            emitter=_Nobody(), clock=LoopClock(asyncio.get_running_loop()), entropy=SystemRandomness(), log=log,
        )  # fmt: skip
        dispatch = Dispatch(runtime, OrderPlacer(database, log))
        async with runtime.running():
            yield dispatch
        await journal.close()


@pytest.mark.parametrize(
    ("held", "what"),
    [
        ("SELECT 1 FROM drivers WHERE id = 7 FOR UPDATE", "driver 7"),
        ("UPDATE drivers SET capacity = 2 WHERE id = 7", "driver 7"),
    ],
)
async def test_unrelated_drivers_go_on_while_a_person_holds_one_row(
    database_url: str, held: str, what: str
) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute(SEED)
    await owner.close()
    person = await asyncpg.connect(database_url, server_settings={"application_name": "psql"})
    said: list[tuple[str, dict[str, Any]]] = []
    try:
        async with _services(database_url, said) as dispatch, asyncio.TaskGroup() as tasks:
            await person.execute("BEGIN")
            await person.execute(held)
            asked = {n: tasks.create_task(_go_online(dispatch, n)) for n in DRIVERS}
            others = [asked[n] for n in DRIVERS if n != 7]
            assert {await other for other in others} == {"now_online"}
            assert not asked[7].done()
            await until(lambda: dispatch.runtime.set_aside)
            assert dispatch.runtime.lanes[0].blocked.holders() == {"psql": 1}
            again = [await _go_online(dispatch, n, "offline") for n in DRIVERS if n != 7]
            assert set(again) == {"now_offline"}
            assert dispatch.runtime.counters.lock_waits == 1, "a known lock is not waited for again"
            await person.execute("ROLLBACK")
            assert await asked[7] == "now_online"
    finally:
        pid = person.get_server_pid()
        await person.close()
    event, named = said[0]
    assert event == "blocked_commit"
    assert (named["row"], named["holder_pid"], named["holder_application"]) == (what, pid, "psql")


async def _go_online(dispatch: Dispatch, number: int, status: str = "online") -> str:
    caller = Caller("driver", number, f"t{number}", f"key-of-{number}-{status}", status.encode())
    message = SetAvailability(status)
    command = caller.command("availability", number, message)
    reply = await dispatch.runtime.ask(driver_ref(number), message, command=command, budget_s=60.0)
    return str(Reply(*reply).code)
