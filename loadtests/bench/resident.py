"""What many actors in memory cost.

cost     processor time of a command with 1,000 and with 100,000 actors resident, on a real server
cycles   memory over a million activations and passivations of the runtime, in this process
lag      how late the server's loop wakes at 70 % of the load that it can carry
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from actors.clock import LoopClock, SystemRandomness
from actors.messages import ActorId, Emit
from actors.passivation import Passivation
from actors.ports import Claim, ShardRow
from actors.runtime import Runtime
from dispatch import messages as m
from dispatch.order_actor import OrderBehaviour
from loadtests.bench.cells import ZONES, Bench, BenchCase
from loadtests.bench.setup import BenchSetup, open_setup
from loadtests.kit.client import open_http
from loadtests.kit.closed_loop import RestLoop
from loadtests.kit.metrics import lag_facts, scrape
from loadtests.kit.process_usage import cpu_s, rss_bytes
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.tool import make_parser, run_tool
from loadtests.kit.wire import open_wires, request_bytes

COMMANDS = 15_000
WIDTH = 64
# Passes over the resident actors before the measurement would be longer than they stay (120 s idle).
FEW, MANY = 1_000, 100_000
CYCLES, AT_ONCE = 1_000_000, 2_000
SHARE = 0.7
PACED_S = 15.0
TICK_S = 0.005


# -- cost -----------------------------------------------------------------------------------------


async def cost(folder: Path) -> LoadReport:
    """The same commands on resident orders, when there are few and when there are many."""
    report = LoadReport("cost of a command by resident actors")
    async with open_setup(folder, "b") as setup:
        orders: list[str] = []
        zones = [await setup.open_zone("open") for _ in range(ZONES)]
        per_command = {}
        for wanted in (FEW, MANY):
            while len(orders) < wanted:
                for zone in zones:
                    orders += await setup.place(zone, min(2_000, max(1, (wanted - len(orders)) // ZONES)))
            per_command[wanted] = await _per_command_us(setup, orders)
            async with open_http(1) as http, http.get(setup.server.ops_url + "/status") as answer:
                kinds = (await answer.json())["actors"]["kinds"]
            report.facts[f"resident_at_{wanted}"] = sum(kinds.values())
            report.facts[f"server_us_per_command_at_{wanted}"] = round(per_command[wanted], 1)
    ratio = per_command[MANY] / per_command[FEW]
    report.limits.append(Limit("cost at 100,000 resident actors over that at 1,000", round(ratio, 3), 1.25))
    report.limits.append(Limit("resident actors", report.facts[f"resident_at_{MANY}"], at_least=MANY))
    return report


async def _per_command_us(setup: BenchSetup, orders: Sequence[str]) -> float:
    """The server's processor time for a commit on one of these orders, whichever."""
    chance = random.Random(len(orders))
    ready = datetime.fromtimestamp(time.time(), UTC) + timedelta(minutes=20)
    jobs = []
    for number in range(COMMANDS):
        at = (ready + timedelta(seconds=number % 600)).isoformat()
        path = f"/api/v2/orders/{chance.choice(orders)}/ready-time"
        body = orjson.dumps({"ready_at": at})
        jobs.append(request_bytes("PUT", path, token=setup.admin.token, body=body))
    async with open_wires([setup.server.url], WIDTH) as wires:
        await RestLoop(wires, jobs[: COMMANDS // 5]).run()
        before = cpu_s(setup.server.pid)
        answers = await RestLoop(wires, jobs[COMMANDS // 5 :]).run()
        used_s = cpu_s(setup.server.pid) - before
    if answers.failed or answers.refused:
        raise RuntimeError(f"{answers.failed + answers.refused} commands came to nothing")
    return used_s / answers.good * 1e6


# -- cycles ---------------------------------------------------------------------------------------


class _RowPerNumberJournal:
    """A journal that has a row for every number, and writes nothing."""

    async def claim(self, shards: Sequence[int], *_: object) -> list[Claim]:
        return [Claim(shard, 1, 0) for shard in shards]

    async def shards(self) -> list[ShardRow]:
        return []

    async def load(self, kind: str, numbers: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        del kind
        return {number: _row(number) for number in numbers}

    async def due(self, *_: object) -> list[tuple[ActorId, int]]:
        return []

    async def due_ahead(self, *_: object) -> list[tuple[ActorId, int, int]]:
        return []

    async def wall(self) -> float:
        return time.time()

    async def flush(self, lane: int, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        raise NotImplementedError

    def needs(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        raise NotImplementedError

    async def blocked(self, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        raise NotImplementedError

    async def read(self, query: object) -> Any:
        raise NotImplementedError


def _row(number: int) -> dict[str, Any]:
    return {
        "id": number, "shard": 0, "zone_id": 1, "store_id": 1, "pickups": [[1, "store", 1.0, 1.0, 17, [0]]],
        "ready_each": None, "contact_name": "Ann", "contact_phone": None, "customer_id": number,
        "status": "delivered", "version": 5, "driver_id": number,
        "round": 1, "mode": "waves", "search": None, "writer": "", "recent": [], "dropoff_lat": 1.0,
        "dropoff_lon": 1.0, "address": f"Street {number}", "payment": "cash", "notes": None,
        "total_minor": 900, "currency": "EUR", "created_ms": 1, "updated_ms": 1, "ready_ms": 1,
        "due_ms": None, "items": [[1, "soup", 2, 450]],
    }  # fmt: skip


class _DiscardingEmitter:
    def emit(self, emit: Emit, trace: str) -> None:
        del emit, trace


async def cycles(count: int = CYCLES) -> LoadReport:
    """Every actor is loaded, read once, and sent away."""
    report = LoadReport("activations and passivations")
    clock = LoopClock(asyncio.get_running_loop())
    runtime = Runtime(
        instance="one", behaviours=[OrderBehaviour()], journal=_RowPerNumberJournal(),
        emitter=_DiscardingEmitter(), clock=clock, entropy=SystemRandomness(),
    )  # fmt: skip
    sizes: list[float] = []
    sweep = Passivation(clock, runtime.counters, runtime.cells, 0)
    async with runtime.running():
        for first in range(1, count + 1, AT_ONCE):
            views = (
                runtime.ask(ActorId("order", number), m.View())
                for number in range(first, min(first + AT_ONCE, count + 1))
            )
            await asyncio.gather(*views)
            for ownership in runtime.cells.owned:
                if ownership is not None:
                    sweep.sweep(ownership)
            if first % (count // 10) < AT_ONCE:
                gc.collect()
                sizes.append(rss_bytes(os.getpid()) / 1e6)
        report.facts["activations"] = sum(runtime.counters.activations.values())
        report.facts["passivations"] = sum(runtime.counters.passivations.values())
    report.facts["rss_mb"] = [round(size, 1) for size in sizes]
    # The first tenth fills what the allocator keeps.
    report.limits.append(
        Limit("memory at the end over that after a tenth", round(sizes[-1] / sizes[1], 3), 1.05)
    )
    report.limits.append(Limit("activations", report.facts["activations"], at_least=count))
    return report


# -- lag ------------------------------------------------------------------------------------------


async def lag(folder: Path) -> LoadReport:
    """Acceptances at 70 % of the rate that the server carries at 64 at once."""
    report = LoadReport("loop lag at 70 % of peak")
    async with open_setup(folder, "b") as setup:
        bench, peer = Bench(setup, 3.0), setup.peers["b"]
        peak = await bench.measure(peer, BenchCase("accept", 1, WIDTH))
        rate = peak.won_per_s * SHARE
        jobs = await bench.acceptances(1, int(rate * PACED_S))
        async with open_wires([peer.url], WIDTH * 4) as wires, open_http(1) as http:
            before = await scrape(http, setup.server.ops_url)
            won = await _paced(wires, jobs, rate)
            after = await scrape(http, setup.server.ops_url)
    report.facts["peak_per_s"], report.facts["paced_per_s"] = round(peak.won_per_s), round(rate)
    report.facts |= lag_facts(before, after) | {"won": won, "sent": len(jobs)}
    report.limits.append(Limit("p99 of loop lag, ms", report.facts["loop_lag_server_p99_ms"], 20.0))
    report.limits.append(Limit("acceptances that did not win", len(jobs) - won, 0))
    return report


async def _paced(wires: Sequence[Any], jobs: Sequence[bytes], per_s: float) -> int:
    """Send jobs at a rate, whatever the answers do; returns how many succeeded."""
    idle, won, answered = list(wires), [0], [0]
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(job: bytes) -> None:
        wire = idle.pop()

        def then(status: int, body: bytes) -> None:
            del body
            idle.append(wire)
            won[0] += 200 <= status < 300
            answered[0] += 1
            if answered[0] == len(jobs) and not done.done():
                done.set_result(None)

        wire.ask(job, then)

    began, sent = time.perf_counter(), 0
    while sent < len(jobs):
        due = min(len(jobs), int((time.perf_counter() - began) * per_s))
        while sent < due and idle:
            send(jobs[sent])
            sent += 1
        await asyncio.sleep(TICK_S)
    async with asyncio.timeout(30):
        await done
    return won[0]


async def measure(what: str, count: int) -> LoadReport:
    """One of the three, with the time that it took."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mall-resident-") as folder:
        report = await (cycles(count) if what == "cycles" else {"cost": cost, "lag": lag}[what](Path(folder)))
    report.took_s = time.perf_counter() - began
    return report


def main() -> int:
    """Read the command line, measure, report."""
    parser = make_parser("loadtests.bench.resident", __doc__)
    parser.add_argument("what", choices=("cost", "cycles", "lag"))
    parser.add_argument("--count", type=int, default=CYCLES, help="cycles: how many")
    options = parser.parse_args()
    return run_tool(measure(options.what, options.count), json=options.json)


if __name__ == "__main__":
    sys.exit(main())
