"""Shares of the processors, and how late this process's own loop wakes.

Every report shows the generator's share beside the server's: a generator that has no processor left
measures itself.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from time import perf_counter
from typing import Any

from loadtests.usage import cpu_s, descendants
from loadtests.verdict import quantile

LAG_S = 0.05


class FrameMeter:
    """CPU shares and the generator's lag, from `start` to `facts`."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        self.lags_s = array("d")
        self.start()

    def start(self) -> None:
        """Count from now on."""
        del self.lags_s[:]
        self._wall, self._own = perf_counter(), time.process_time()
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
            "cpu_swarm": round((time.process_time() - self._own) / wall, 3),
            "loop_lag_swarm_p99_ms": round(quantile(ordered, 0.99) * 1000, 2),
            "loop_lag_swarm_max_ms": round(quantile(ordered, 1.0) * 1000, 2),
        }
        if self.pid:
            others = sum(cpu_s(pid) - self._others.get(pid, 0.0) for pid in descendants(self.pid))
            found["cpu_server"] = round((cpu_s(self.pid) - self._server) / wall, 3)
            found["cpu_server_children"] = round(others / wall, 3)
        return found
