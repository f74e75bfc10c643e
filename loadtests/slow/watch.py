"""A good client, alone and beside slow ones in turn: how long it waits, and whether all resources come back."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import aiohttp

from loadtests.kit.client import open_http
from loadtests.kit.metrics import grown, scrape
from loadtests.kit.process_usage import rss_bytes
from loadtests.kit.report import Limit, LoadReport, quantile
from loadtests.kit.server import ROOT, ServerProcess
from loadtests.kit.waiting import sleep_until, until
from loadtests.kit.wire import open_wire, request_bytes

# A client that is in no hurry: what is measured is how long it waits, not how much the server carries.
PER_S = 100
WIRES = 8
RATIO_MAX = 2.0
OPEN = 'mall_connections{port="public"}'
REASONS = ("slow_head", "no_head", "slow_body", "slow_reader")
SETTLED_S = 30.0
ANSWER_S = 30.0
GROWTH_BYTES_MAX = 50 * 1024 * 1024
# The pool of database connections may have grown meanwhile.
FILES_MAX = 10


async def connections(http: aiohttp.ClientSession, server: ServerProcess) -> float:
    """Open connections of the public port, by the server's own count."""
    return (await scrape(http, server.ops_url))[OPEN]


async def settle(http: aiohttp.ClientSession, server: ServerProcess, most: float) -> float:
    """Seconds until no more than `most` connections are open, by the server's count; SETTLED_S at most."""
    began = perf_counter()

    async def gone() -> bool:
        return await connections(http, server) <= most

    await until(gone, SETTLED_S)
    return perf_counter() - began


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def wait_times(
    server: ServerProcess, token: str, seconds: float, report: LoadReport, name: str
) -> float:
    """The p99 in seconds of a good client that asks steadily; each wait counts from when it wanted to ask."""
    request = request_bytes("GET", "/api/v2/me", token=token)
    took: list[float] = []
    begin = perf_counter() + 0.05

    async def ask(number: int) -> None:
        wire = await open_wire(server.url)
        try:
            for turn in range(number, int(seconds * PER_S), WIRES):
                wanted = begin + turn / PER_S
                await sleep_until(wanted)
                async with asyncio.timeout(ANSWER_S):
                    status, _ = await wire.request(request)
                if status == 200:
                    took.append(perf_counter() - wanted)
                    report.done(name, took[-1])
                else:
                    report.failed(name, str(status))
                    wire.close()
                    wire = await open_wire(server.url)
        finally:
            wire.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(WIRES):
            tasks.create_task(ask(number))
    return quantile(sorted(took), 0.99)


@asynccontextmanager
async def slow_clients_process(
    server: ServerProcess, sockets: int, mode: str, closed: dict[str, int]
) -> AsyncIterator[None]:
    """The slow clients in a process of their own, from all sockets being open to their end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.slow.slow_clients", str(server.port),
        "--sockets", str(sockets), "--mode", mode,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            if await process.stdout.readline() != b"up\n":
                raise RuntimeError("the slow clients do not connect")
        yield
        async with asyncio.timeout(30):
            said, _ = await process.communicate(b"")
        for name, count in json.loads(said).items():
            closed[name] = closed.get(name, 0) + count
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def watch(server: ServerProcess, *, sockets: int, mode: str, seconds: float, rounds: int) -> LoadReport:
    """Rounds of both in turn, and the verdict."""
    report = LoadReport(f"{sockets} slow sockets, mode {mode}")
    token = (await server.mint("customer", 1))[0]["access_token"]
    alone: list[float] = []
    beside: list[float] = []
    given_back: list[float] = []
    closed: dict[str, int] = {}
    began = perf_counter()
    async with open_http(1) as http:
        await wait_times(server, token, 3.0, report, "warm-up")
        before, open_files = await scrape(http, server.ops_url), descriptors(server.pid)
        at_rest, memory = before[OPEN], [rss_bytes(server.pid)]
        for _ in range(rounds):
            alone.append(await wait_times(server, token, seconds, report, "peace"))
            async with slow_clients_process(server, sockets, mode, closed):
                beside.append(await wait_times(server, token, seconds, report, "siege"))
            given_back.append(await settle(http, server, at_rest))
            memory.append(rss_bytes(server.pid))
        kept = descriptors(server.pid) - open_files
        after = await scrape(http, server.ops_url)
    report.took_s = perf_counter() - began
    report.facts |= {
        "p99_ms_in_peace": [round(value * 1000, 2) for value in alone],
        "p99_ms_under_siege": [round(value * 1000, 2) for value in beside],
        "closed_by_the_server": closed,
        "ended_by_reason": {
            reason: int(count)
            for reason in REASONS
            if (count := grown(before, after, "mall_malformed_requests_total", reason=reason))
        },
        "memory_mib_at_rest": [round(value / 2**20, 1) for value in memory],
        "given_back_after_s": [round(value, 1) for value in given_back],
    }
    ratio = median(beside) / median(alone)
    report.limits += [
        Limit("p99 under siege over p99 in peace, medians", round(ratio, 2), RATIO_MAX),
        Limit("failed requests of the good client", report.errors, 0),
        Limit("seconds until every connection was given back", round(max(given_back), 1), SETTLED_S - 1),
        Limit("open files more than before", kept, FILES_MAX),
        # What the first round took the allocator keeps for the next; it must not take more.
        Limit("bytes more than after the first siege", memory[-1] - memory[1], GROWTH_BYTES_MAX),
    ]
    return report
