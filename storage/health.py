"""What a readiness probe looks at, and what it makes of it.

All instances share their Postgres: if each called itself unready the moment it is away, the service would
vanish instead of answering 503 with Retry-After. So Postgres counts as lost only after several looks and some
time. Redis is needed by nothing that is owned already: without it an instance is degraded, and ready. (The
caution is Colin Breck's, "Kubernetes Liveness and Readiness Probes: How to Avoid Shooting Yourself in the Foot".)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from actors.clock import Clock
from actors.cluster.reconciler import Reconciler
from storage.errors import StorageError

Check: TypeAlias = Callable[[], Awaitable[object]]

# Each look at a component may take this long.
CHECK_S = 0.5
# Probes that come more often than this share one look.
FRESH_S = 1.0
# Postgres is lost after so many failed looks in a row, over so long.
LOST_LOOKS, LOST_S = 3, 15.0
# A data folder with less room than this stops Postgres from writing.
DISK_BYTES_MIN, DISK_SHARE_MIN = 200 * 1024 * 1024, 0.05


class DiskFull(StorageError):
    """There is too little room left."""


async def look_at_disk(folder: Path) -> None:
    """See that there is room where we write; in a thread, for a mount may hang.

    Raises:
        DiskFull: there is not.
    """
    seen = await asyncio.to_thread(os.statvfs, folder)
    free_bytes = seen.f_bavail * seen.f_frsize
    if free_bytes < DISK_BYTES_MIN or free_bytes < DISK_SHARE_MIN * seen.f_blocks * seen.f_frsize:
        raise DiskFull("the disk is full")


class LeasesStuck(StorageError):
    """Redis answers, and yet leases cannot be renewed."""


def look_at_leases(reconciler: Reconciler) -> None:
    """See that the leases are renewed: Redis may answer a ping and refuse what we live on.

    Raises:
        LeasesStuck: they are not; the message says what Redis has answered.
    """
    trouble = str(getattr(reconciler.leases, "trouble", ""))  # the store in memory has none
    if trouble and not reconciler.lease_state.sure():
        raise LeasesStuck(f"leases cannot be renewed: {trouble}")


class Prober:
    """Looks at components, at most once in FRESH_S however many ask.

    Args:
        checks: by name of the component; `postgres`, `redis` and `disk` mean something to `is_fit`. A check
            raises StorageError or OSError, or takes too long, when its component is down.
    """

    def __init__(self, checks: Mapping[str, Check], clock: Clock) -> None:
        self._checks = checks
        self._clock = clock
        self._seen: dict[str, str] = {}
        # Why a component is down, for logs.
        self.reasons: dict[str, str] = {}
        self._seen_at = float("-inf")
        self._failed_since: float | None = None
        self._failed_looks = 0
        self._looking = asyncio.Lock()

    async def look(self) -> Mapping[str, str]:
        """Each component, `up` or `down`, as of a second ago at most."""
        async with self._looking:
            if self._clock.monotonic() - self._seen_at >= FRESH_S:
                async with asyncio.TaskGroup() as tasks:
                    looks = {
                        name: tasks.create_task(self._state(name, check), name=f"look at {name}")
                        for name, check in self._checks.items()
                    }
                self._seen = {name: look.result() for name, look in looks.items()}
                self._seen_at = self._clock.monotonic()
                self._count(self._seen.get("postgres", "up"))
        return self._seen

    def is_fit(self) -> bool:
        """True unless Postgres is lost or the disk is full, as of the last look."""
        failed_s = 0.0 if self._failed_since is None else self._clock.monotonic() - self._failed_since
        lost = self._failed_looks >= LOST_LOOKS and failed_s >= LOST_S
        return not lost and self._seen.get("disk", "up") == "up"

    def _count(self, postgres: str) -> None:
        if postgres == "up":
            self._failed_since, self._failed_looks = None, 0
            return
        self._failed_looks += 1
        if self._failed_since is None:
            self._failed_since = self._clock.monotonic()

    async def _state(self, name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_S):
                await check()
        except (StorageError, OSError, TimeoutError) as error:
            self.reasons[name] = str(error) or type(error).__name__
            return "down"
        return "up"
