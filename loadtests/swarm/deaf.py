"""A client that never reads: what it costs the server, and what the others notice of it.

Some times (--rounds) in turn the same driver of a busy open zone reads or does not, with the same traffic; two hundred
drivers of another zone work at a steady rate meanwhile. The difference is the deafness alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import orjson

from loadtests.scene import Zone, order_body
from loadtests.swarm.line import Asked, Crew, Line
from loadtests.swarm.opening import all_answered, close_all, open_all
from loadtests.swarm.rest import Caller
from loadtests.swarm.scrape import grown
from loadtests.swarm.stage import Stage
from loadtests.usage import rss_bytes
from loadtests.verdict import Limit, Report, quantile

OTHERS = 200
PHASE_S_MAX = 40.0
# The system's own buffers take some 3 MB before the server notices: long notes, three bytes a character,
# make a board of 90 KB, so that a phase of half a minute gets beyond that.
NOTES = "\u754c" * 500
BOARD_ORDERS = 50
BOARD_CHANGES_PER_S = 4.0
# The most a socket may send is 50 frames a second.
PINGS_PER_S = 45.0
# Answers as long as an id may make them, so that they pile up soon.
PING = b'{"t":"ping","id":"' + b"x" * 64 + b'"}'
# The others, each: a ping a second, every tenth time a change of availability, too.
COMMAND_S, TOGGLE_EVERY = 1.0, 10
RECEIVE_BYTES = 4096
MEMORY_BYTES_MAX = 1_000_000
MOVED_MAX = 0.15
SLOW_CONSUMER = "4202"


class Others(Crew):
    """Drivers who work; `seconds` are the answers of the present phase."""

    def __init__(self, report: Report, url: str, tag: str) -> None:
        super().__init__(report, url, tag)
        self.seconds: list[float] = []

    def answered(self, frame: dict[str, Any], asked: Asked, now: float) -> None:
        """As always, and for the phase."""
        super().answered(frame, asked, now)
        self.seconds.append(now - asked.began)

    async def work(self, lines: Sequence[Line]) -> None:
        """Commands at a steady rate, one line after the other, until cancelled."""
        began, count = perf_counter(), 0
        while True:
            line, turn = lines[count % len(lines)], count // len(lines)
            line.ping()
            if (turn + count) % TOGGLE_EVERY == 0:
                line.ask("availability", status="offline" if turn // TOGGLE_EVERY % 2 else "online")
            count += 1
            await asyncio.sleep(max(0.0, began + count * COMMAND_S / len(lines) - perf_counter()))


class Flooded(Crew):
    """The driver in question: the answers to its pings are nobody's business, and it may be closed."""

    def __init__(self, report: Report, url: str, tag: str) -> None:
        super().__init__(report, url, tag)
        self.codes: Counter[int] = Counter()

    def unasked(self, frame: dict[str, Any]) -> None:
        """One of the many pongs."""

    def ended(self, code: int) -> None:
        """What the scenario is about; the code itself rarely reaches who does not read."""
        self.codes[code] += 1


@dataclass(slots=True)
class Phases:
    """What was measured, by whether the client was deaf."""

    p99_ms: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    grown_bytes: dict[bool, list[int]] = field(default_factory=lambda: {True: [], False: []})


async def run(stage: Stage, report: Report) -> None:
    """Alternate, compare."""
    others = Others(report, stage.server.url, stage.tag)
    [quiet] = await stage.open_zones(1, "waves")
    [busy] = await stage.open_zones(1, "open")
    lines = await stage.lines(others, [quiet], OTHERS)
    flooded = Flooded(report, stage.server.url, stage.tag)
    [victim] = await stage.lines(flooded, [busy], 1)
    customer = Caller((await stage.mint("customer", 1))[0], stage.server.url)
    for number in range(BOARD_ORDERS):
        await _place(report, customer, busy, f"{stage.tag}-board-{number}")
    await open_all(lines)
    before, phases = await stage.scrape(), Phases()
    stage.meter.start()
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(others.work(lines))
        changing = tasks.create_task(_change_board(report, customer, busy, stage.tag))
        try:
            await _alternate(stage, others, victim, phases)
        finally:
            working.cancel()
            changing.cancel()
    await all_answered(lines)
    report.facts |= stage.meter.facts()
    closes = grown(before, await stage.scrape(), "mall_feed_closes_total", code=SLOW_CONSUMER)
    report.facts["closed_with_4202"] = int(closes)
    report.facts["codes_seen_by_the_client"] = {str(code): n for code, n in flooded.codes.items()}
    stage.limit(report, Limit("deaf sockets closed with 4202", closes, at_least=1))
    _judge(stage, report, phases)
    await close_all(others, lines)
    customer.close()


async def _place(report: Report, customer: Caller, zone: Zone, key: str) -> str:
    body = orjson.dumps(order_body(zone.products, notes=NOTES))
    made = await customer.timed(report, "order", "POST", "/api/v2/orders", body, key)
    return str(orjson.loads(made)["id"]) if made else ""


async def _change_board(report: Report, customer: Caller, zone: Zone, tag: str) -> None:
    """An order comes and goes, so that there is a new board twice a second, until cancelled."""
    count = 0
    while True:
        count += 1
        order = await _place(report, customer, zone, f"{tag}-change-{count}")
        await asyncio.sleep(1 / BOARD_CHANGES_PER_S)
        if order:
            path = f"/api/v2/orders/{order}/cancellation"
            await customer.timed(report, "cancellation", "POST", path)
        await asyncio.sleep(1 / BOARD_CHANGES_PER_S)


async def _alternate(stage: Stage, others: Others, victim: Line, phases: Phases) -> None:
    phase_s = min(PHASE_S_MAX, stage.options.seconds)
    for deaf in (False, True):  # the first are never like the rest: the server's memory grows once
        await _phase(stage, others, victim, deaf, phase_s / 2)
    for _ in range(stage.options.rounds):
        for deaf in (False, True):
            ms, more = await _phase(stage, others, victim, deaf, phase_s)
            phases.p99_ms[deaf].append(ms)
            phases.grown_bytes[deaf].append(more)


async def _phase(stage: Stage, others: Others, victim: Line, deaf: bool, seconds: float) -> tuple[float, int]:
    """One phase: the others' p99 in ms, and by how much the server grew at most."""
    before = peak = rss_bytes(stage.pid) if stage.pid else 0
    others.seconds = []
    end = perf_counter() + seconds
    while perf_counter() < end:
        if not await victim.open(_small_socket(victim.crew) if deaf else None):
            break
        if deaf and victim.wire is not None:
            victim.wire.stop_reading()
        while perf_counter() < end and victim.crew.up:
            for _ in range(int(PINGS_PER_S / 5)):
                victim.send(PING)
            peak = max(peak, rss_bytes(stage.pid) if stage.pid else 0)
            await asyncio.sleep(0.2)
    victim.cut()
    return quantile(sorted(others.seconds), 0.99) * 1000, peak - before


def _small_socket(crew: Crew) -> socket.socket:
    """A connection whose receive buffer is as small as the system allows."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.connect((crew.host, crew.port))
    sock.setblocking(False)
    return sock


def _judge(stage: Stage, report: Report, phases: Phases) -> None:
    moved = [
        deaf / reading - 1 if reading else 0.0
        for reading, deaf in zip(phases.p99_ms[False], phases.p99_ms[True], strict=True)
    ]
    report.facts["others_p99_ms"] = {
        "reading": [round(x, 2) for x in phases.p99_ms[False]], "deaf": [round(x, 2) for x in phases.p99_ms[True]],
    }  # fmt: skip
    report.facts["server_grew_bytes"] = {
        "reading": phases.grown_bytes[False],
        "deaf": phases.grown_bytes[True],
    }
    stage.limit(report, Limit("others' p99 moved by, median share", median(moved), at_most=MOVED_MAX))
    if stage.pid:
        grew = median(phases.grown_bytes[True])
        stage.limit(report, Limit("memory of a deaf client, bytes", grew, at_most=MEMORY_BYTES_MAX))
