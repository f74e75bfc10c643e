"""One round: steady state, fault, page, end of the fault, all clear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from config.deploy.alerts import PAGE
from loadtests.drill.faults import DrilledFault
from loadtests.drill.mall import open_mall
from loadtests.drill.monitoring import SHIPPED, Monitoring, Pace, open_monitoring
from loadtests.drill.pager import FIRING, Pager, Told, open_pager
from loadtests.drill.report import DrillRound
from loadtests.kit.waiting import until

# Nobody mends a fault at the moment of the page; what else it leads to is told meanwhile.
MENDED_AFTER_S = 60.0
# Waited for longer than the limits, so that what is late has a time.
FOUND_WITHIN_S, CLEARED_WITHIN_S = 420.0, 900.0
SCRAPED_WITHIN_S = 60.0

Say = Callable[[str], None]


class Drill:
    """A round under way."""

    def __init__(self, fault: DrilledFault, pager: Pager, say: Say) -> None:
        self._fault = fault
        self._pager = pager
        self._say = say
        self._receiver = "pager" if fault.severity == PAGE else "tickets"
        self._wanted = {*fault.alerts, *fault.along}

    def _counts(self, told: Told) -> bool:
        """True for pages, and for the tickets that are this fault's."""
        return told.receiver == "pager" or (told.receiver == self._receiver and told.alert in self._wanted)

    def _open(self) -> set[tuple[str, str]]:
        """What counts and fires."""
        last = {(told.alert, told.key): told.status for told in self._pager.told if self._counts(told)}
        return {alert for alert, status in last.items() if status == FIRING}

    def _first(self, began_s: float) -> dict[str, float]:
        """When each alert that counts was first told after the fault, by its name."""
        found: dict[str, float] = {}
        for told in self._pager.told:
            if self._counts(told) and told.status == FIRING and told.at_s >= began_s:
                found.setdefault(told.alert, round(told.at_s - began_s, 1))
        return found

    async def found(self, began_s: float) -> float | None:
        """Wait until somebody is told; seconds since the fault."""
        await until(
            lambda: self._pager.first(self._receiver, self._fault.alerts, began_s) is not None, FOUND_WITHIN_S
        )
        told = self._pager.first(self._receiver, self._fault.alerts, began_s)
        return None if told is None else round(told.at_s - began_s, 1)

    async def cleared(self, ended_s: float) -> float | None:
        """Wait until everything told has ended; seconds since the end of the fault."""
        if not await until(lambda: not self._open(), CLEARED_WITHIN_S):
            self._say(f"still open: {sorted(self._open())}")
            return None
        ends = [told.at_s for told in self._pager.told if self._counts(told) and told.status != FIRING]
        return round(max([ended_s, *ends]) - ended_s, 1)

    def result(self, began_s: float, found_s: float | None, cleared_s: float | None) -> DrillRound:
        """What came of it."""
        pages = {told.alert for told in self._pager.told if told.receiver == "pager"}
        early = {told.alert for told in self._pager.told if told.receiver == "pager" and told.at_s < began_s}
        tickets = {told.alert for told in self._pager.told if told.receiver == "tickets"}
        return DrillRound(
            fault=self._fault.name,
            severity=self._fault.severity,
            found_s=found_s,
            cleared_s=cleared_s,
            told=self._first(began_s),
            foreign=sorted(pages - self._wanted | early),
            tickets=sorted(tickets - self._wanted),
        )


async def drill(
    fault: DrilledFault,
    folder: Path,
    say: Say,
    *,
    pace: Pace = SHIPPED,
    steady_s: float | None = None,
    mended_after_s: float = MENDED_AFTER_S,
    clears: bool = True,
) -> DrillRound:
    """The whole round in a folder of its own, from the main thread.

    `steady_s` stands in place of the fault's own; without `clears` the end of the alerts is not waited for.
    """
    async with (
        open_mall(folder, dict(fault.settings), gateway=fault.gateway, on_disk=fault.on_disk) as mall,
        open_pager() as pager,
        open_monitoring(folder / "monitoring", mall.ops, pager.port, pace, mall.http) as monitoring,
        mall.steady_load(),
    ):
        round_ = Drill(fault, pager, say)
        await _steady(monitoring, fault.steady_s if steady_s is None else steady_s)
        say(f"before: {dict(mall.answers)}")
        mall.answers.clear()
        began_s = time.monotonic()
        async with fault.make(mall):
            found_s = await round_.found(began_s)
            say(f"told after {found_s} s")
            await asyncio.sleep(mended_after_s)
            say(f"during: {dict(mall.answers)}")
        ended_s = time.monotonic()
        cleared_s = await round_.cleared(ended_s) if clears else None
        return round_.result(began_s, found_s, cleared_s)


async def _steady(monitoring: Monitoring, seconds: float) -> None:
    """Good service for a while, of which Prometheus knows."""
    if not await until(monitoring.seen, SCRAPED_WITHIN_S):
        raise RuntimeError("Prometheus does not scrape the server")
    await asyncio.sleep(seconds)
