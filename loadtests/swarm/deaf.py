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

from loadtests.kit.fixtures import Zone, order_body
from loadtests.kit.metrics import grown
from loadtests.kit.process_usage import rss_bytes
from loadtests.kit.report import Limit, LoadReport, quantile
from loadtests.kit.waiting import sleep_until
from loadtests.swarm.connecting import all_answered, close_all, open_all
from loadtests.swarm.phone import PhoneGroup, SentCommand, SwarmPhone
from loadtests.swarm.rest import RestClient
from loadtests.swarm.setup import SwarmSetup

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


class Others(PhoneGroup):
    """Drivers who work; `seconds` are the answers of the present phase."""

    def __init__(self, report: LoadReport, url: str, tag: str) -> None:
        super().__init__(report, url, tag)
        self.seconds: list[float] = []

    def answered(self, frame: dict[str, Any], asked: SentCommand, now: float) -> None:
        """As always, and for the phase."""
        super().answered(frame, asked, now)
        self.seconds.append(now - asked.began)

    async def work(self, phones: Sequence[SwarmPhone]) -> None:
        """Commands at a steady rate, one line after the other, until cancelled."""
        began, count = perf_counter(), 0
        while True:
            phone, turn = phones[count % len(phones)], count // len(phones)
            phone.ping()
            if (turn + count) % TOGGLE_EVERY == 0:
                phone.ask("availability", status="offline" if turn // TOGGLE_EVERY % 2 else "online")
            count += 1
            await sleep_until(began + count * COMMAND_S / len(phones))


class Flooded(PhoneGroup):
    """The driver in question: the answers to its pings are not reported, and it may be closed."""

    def __init__(self, report: LoadReport, url: str, tag: str) -> None:
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


async def run(setup: SwarmSetup, report: LoadReport) -> None:
    """Alternate, compare."""
    others = Others(report, setup.server.url, setup.tag)
    [quiet] = await setup.open_zones(1, "waves")
    [busy] = await setup.open_zones(1, "open")
    phones = await setup.phones(others, [quiet], OTHERS)
    flooded = Flooded(report, setup.server.url, setup.tag)
    [victim] = await setup.phones(flooded, [busy], 1)
    customer = RestClient((await setup.mint("customer", 1))[0], setup.server.url)
    for number in range(BOARD_ORDERS):
        await _place(report, customer, busy, f"{setup.tag}-board-{number}")
    await open_all(phones)
    before, phases = await setup.scrape(), Phases()
    setup.meter.start()
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(others.work(phones))
        changing = tasks.create_task(_change_board(report, customer, busy, setup.tag))
        try:
            await _alternate(setup, others, victim, phases)
        finally:
            working.cancel()
            changing.cancel()
    await all_answered(phones)
    report.facts |= setup.meter.facts()
    closes = grown(before, await setup.scrape(), "mall_feed_closes_total", code=SLOW_CONSUMER)
    report.facts["closed_with_4202"] = int(closes)
    report.facts["codes_seen_by_the_client"] = {str(code): n for code, n in flooded.codes.items()}
    report.limit(Limit("deaf sockets closed with 4202", closes, at_least=1))
    _judge(setup, report, phases)
    await close_all(others, phones)
    customer.close()


async def _place(report: LoadReport, customer: RestClient, zone: Zone, key: str) -> str:
    body = orjson.dumps(order_body(zone.products, notes=NOTES))
    made = await customer.send(report, "order", "POST", "/api/v2/orders", body, key)
    return str(orjson.loads(made)["id"]) if made else ""


async def _change_board(report: LoadReport, customer: RestClient, zone: Zone, tag: str) -> None:
    """An order comes and goes, so that there is a new board twice a second, until cancelled."""
    count = 0
    while True:
        count += 1
        order = await _place(report, customer, zone, f"{tag}-change-{count}")
        await asyncio.sleep(1 / BOARD_CHANGES_PER_S)
        if order:
            path = f"/api/v2/orders/{order}/cancellation"
            await customer.send(report, "cancellation", "POST", path)
        await asyncio.sleep(1 / BOARD_CHANGES_PER_S)


async def _alternate(setup: SwarmSetup, others: Others, victim: SwarmPhone, phases: Phases) -> None:
    phase_s = min(PHASE_S_MAX, setup.options.seconds)
    for deaf in (False, True):  # the first are never like the rest: the server's memory grows once
        await _phase(setup, others, victim, deaf, phase_s / 2)
    for _ in range(setup.options.rounds):
        for deaf in (False, True):
            ms, more = await _phase(setup, others, victim, deaf, phase_s)
            phases.p99_ms[deaf].append(ms)
            phases.grown_bytes[deaf].append(more)


async def _phase(
    setup: SwarmSetup, others: Others, victim: SwarmPhone, deaf: bool, seconds: float
) -> tuple[float, int]:
    """One phase: the others' p99 in ms, and by how much the server grew at most."""
    before = peak = rss_bytes(setup.pid) if setup.pid else 0
    others.seconds = []
    end = perf_counter() + seconds
    while perf_counter() < end:
        if not await victim.open(_small_socket(victim.group) if deaf else None):
            break
        if deaf and victim.wire is not None:
            victim.wire.stop_reading()
        while perf_counter() < end and victim.group.up:
            for _ in range(int(PINGS_PER_S / 5)):
                victim.send(PING)
            peak = max(peak, rss_bytes(setup.pid) if setup.pid else 0)
            await asyncio.sleep(0.2)
    victim.cut()
    return quantile(sorted(others.seconds), 0.99) * 1000, peak - before


def _small_socket(group: PhoneGroup) -> socket.socket:
    """A connection whose receive buffer is as small as the system allows."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.connect((group.host, group.port))
    sock.setblocking(False)
    return sock


def _judge(setup: SwarmSetup, report: LoadReport, phases: Phases) -> None:
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
    report.limit(Limit("others' p99 moved by, median share", median(moved), at_most=MOVED_MAX))
    if setup.pid:
        grew = median(phases.grown_bytes[True])
        report.limit(Limit("memory of a deaf client, bytes", grew, at_most=MEMORY_BYTES_MAX))
