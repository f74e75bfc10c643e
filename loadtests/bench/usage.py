"""Processor time of processes, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import process_time

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


def family_cpu_s(parent: int) -> float:
    """The same for a process and its children that still live."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    children = [pid for pid in pids if (fields := _stat(pid)) and int(fields[1]) == parent]
    return sum(cpu_s(pid) for pid in (parent, *children))


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
