"""What processes cost: processor time and memory, read from /proc."""

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
