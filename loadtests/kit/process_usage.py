"""What processes cost: processor time and memory, read from /proc; and how late this process's own loop wakes.

Reports show the generator's share beside the server's: a generator that has no processor left measures itself.
"""

from __future__ import annotations

import asyncio
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from loadtests.kit.report import quantile

# Between two looks at how late this process's loop wakes.
LAG_S = 0.05
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_s(pid: int) -> float:
    """User and system seconds that a process has used, all its threads together."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S if fields else 0.0


def rss_bytes(pid: int) -> int:
    """Memory that a process holds now; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def descendants(pid: int) -> list[int]:
    """Children of a process and theirs: the database that it has started."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        try:
            children = Path(f"/proc/{waiting[-1]}/task/{waiting.pop()}/children").read_text()
        except OSError:
            continue
        waiting += [int(child) for child in children.split()]
        found += [int(child) for child in children.split()]
    return found


def family_cpu_s(parent: int) -> float:
    """Processor time of a process and of those below it that still live."""
    return sum(cpu_s(pid) for pid in (parent, *descendants(parent)))


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time: the server, Postgres, and the generator itself."""

    server_s: float
    postgres_s: float
    generator_s: float

    @classmethod
    def now(cls, server: int, postgres: int) -> Usage:
        """What was used until now."""
        return cls(cpu_s(server), family_cpu_s(postgres), process_time())

    def since(self, before: Usage) -> Usage:
        """What was used since."""
        return Usage(
            self.server_s - before.server_s,
            self.postgres_s - before.postgres_s,
            self.generator_s - before.generator_s,
        )


class ProcessMeter:
    """CPU shares and the generator's lag, from `start` to `facts`."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        self.lags_s = array("d")
        self.start()

    def start(self) -> None:
        """Count from now on."""
        del self.lags_s[:]
        self._wall, self._own = perf_counter(), process_time()
        self._server = cpu_s(self.pid) if self.pid else 0.0
        self._others = {pid: cpu_s(pid) for pid in descendants(self.pid)} if self.pid else {}

    async def watch(self) -> None:
        """Note how late the loop wakes, until cancelled."""
        while True:
            due = perf_counter() + LAG_S
            await asyncio.sleep(LAG_S)
            self.lags_s.append(max(0.0, perf_counter() - due))

    def facts(self) -> dict[str, Any]:
        """Shares of one processor, and the lag's p99 and maximum."""
        wall = max(1e-9, perf_counter() - self._wall)
        ordered = sorted(self.lags_s)
        found: dict[str, Any] = {
            "cpu_swarm": round((process_time() - self._own) / wall, 3),
            "loop_lag_swarm_p99_ms": round(quantile(ordered, 0.99) * 1000, 2),
            "loop_lag_swarm_max_ms": round(quantile(ordered, 1.0) * 1000, 2),
        }
        if self.pid:
            others = sum(cpu_s(pid) - self._others.get(pid, 0.0) for pid in descendants(self.pid))
            found["cpu_server"] = round((cpu_s(self.pid) - self._server) / wall, 3)
            found["cpu_server_children"] = round(others / wall, 3)
        return found
