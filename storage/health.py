"""Readiness checks: components, and how their failures decide readiness.

All instances share their Postgres. If each became unready at its first failure, the service would vanish instead of
answering 503 with Retry-After. So Postgres counts as lost only after several failed checks over some time. Owned shards
do not need Redis: without it an instance is degraded, and ready. (The caution is Colin Breck's, "Kubernetes Liveness
and Readiness Probes: How to Avoid Shooting Yourself in the Foot".)
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

# Limit of time for one check of a component.
CHECK_S = 0.5
# Probes within this time share one check.
FRESH_S = 1.0
# Postgres is lost after this many failed checks in a row, over this time.
LOST_LOOKS, LOST_S = 3, 15.0
# With less space than this, Postgres stops writing.
DISK_BYTES_MIN, DISK_SHARE_MIN = 200 * 1024 * 1024, 0.05


class DiskFull(StorageError):
    """There is too little disk space."""


async def look_at_disk(folder: Path) -> None:
    """Check the disk space of the data folder; in a thread, because a mount may hang.

    Raises:
        DiskFull: there is too little space.
    """
    seen = await asyncio.to_thread(os.statvfs, folder)
    free_bytes = seen.f_bavail * seen.f_frsize
    if free_bytes < DISK_BYTES_MIN or free_bytes < DISK_SHARE_MIN * seen.f_blocks * seen.f_frsize:
        raise DiskFull("the disk is full")


class LeasesStuck(StorageError):
    """Redis answers, but leases cannot be renewed."""


def look_at_leases(reconciler: Reconciler) -> None:
    """Check that the leases are renewed: Redis may answer a ping and refuse writes.

    Raises:
        LeasesStuck: they are not renewed; the message has Redis's answer.
    """
    trouble = str(getattr(reconciler.leases, "trouble", ""))  # the store in memory does not have it
    if trouble and not reconciler.lease_state.sure():
        raise LeasesStuck(f"leases cannot be renewed: {trouble}")


class Prober:
    """Checks components, at most once in FRESH_S for all callers.

    Args:
        checks: by name of the component; `is_fit` uses `postgres`, `redis` and `disk`. A check of a component that is
            down raises StorageError or OSError, or takes too long.
    """

    def __init__(self, checks: Mapping[str, Check], clock: Clock) -> None:
        self._checks = checks
        self._clock = clock
        self._seen: dict[str, str] = {}
        # Reason why a component is down, for logs.
        self.reasons: dict[str, str] = {}
        self._seen_at = float("-inf")
        self._failed_since: float | None = None
        self._failed_looks = 0
        self._looking = asyncio.Lock()

    async def look(self) -> Mapping[str, str]:
        """State of each component, `up` or `down`, of a second ago at most."""
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
        """True unless the last check found Postgres lost or the disk full."""
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
