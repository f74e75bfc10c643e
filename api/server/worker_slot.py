"""The worker of a single instance: a process of its own, so that a job that ends it ends no driver's session."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping

import structlog

from api.outbound.secrets_key import embedded_key
from api.server.process_slot import SERVING, ProcessSlot, keep_running, make_slots
from api.transport.listening_sockets import bind_port
from config.settings import SANDBOX, Settings
from storage.servers import Addresses

log = structlog.get_logger()

# A worker gives running jobs eight seconds.
STOP_S = 12.0


def child_environment(settings: Settings, at: Addresses) -> Mapping[str, str]:
    """Environment of processes that this one starts: they use the same servers."""
    given = {"DATABASE_URL": at.database_url, "REDIS_URL": at.redis_url}
    # A child has a DATABASE_URL, so it would not know that the servers are embedded.
    if settings.embedded:
        absent = {
            "MALL_GATEWAY_URL": settings.gateway_url,
            "MALL_SMTP_URL": settings.smtp_url,
            "MALL_SMS_URL": settings.sms_url,
        }
        given |= {name: SANDBOX for name, value in absent.items() if value is None}
        # By name, so that it looks at the disk of the servers' data.
        given |= {"MALL_DATA_DIR": str(settings.data_dir)}
    if settings.embedded and not settings.secrets_keys:
        given |= {"MALL_SECRETS_KEY": embedded_key(settings)}
    return {**os.environ, **given}


class WorkerSlot:
    """The worker beside an instance. `stop()` may be called early, so that it ends beside everything else."""

    def __init__(self, slot: ProcessSlot) -> None:
        self._slot = slot
        self._stop = asyncio.Event()

    @property
    def ops_url(self) -> str | None:
        """Address of its ops port; None while it does not serve."""
        process = self._slot.told(spare=False)
        return f"http://{process.ops_host}:{process.ops_port}" if process.state == SERVING else None

    def stop(self) -> None:
        """Ask it to end, once: a second signal would kill it."""
        if not self._stop.is_set():
            self._stop.set()
            self._slot.signal(signal.SIGTERM)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep it running until the block ends; then it has some seconds to end."""
        lifeline, held = os.pipe()
        try:
            async with asyncio.TaskGroup() as group:
                kept = group.create_task(keep_running(self._slot, lifeline, self._stop), name="worker")
                try:
                    yield
                finally:
                    self.stop()
                    _, left = await asyncio.wait([kept], timeout=STOP_S)
                    for task in left:
                        log.error("killed_worker", after_s=STOP_S)
                        task.cancel()
        finally:
            os.close(lifeline)
            os.close(held)


@contextlib.asynccontextmanager
async def open_worker(settings: Settings, at: Addresses, program: str) -> AsyncIterator[WorkerSlot | None]:
    """The worker of this instance, or None where it is switched off."""
    if settings.work == "off":
        yield None
        return
    ops = bind_port("127.0.0.1", 0, "MALL_OPS_PORT")
    [slot] = make_slots(settings.instance, program, [ops], child_environment(settings, at), public=None)
    worker = WorkerSlot(slot)
    async with worker.running():
        yield worker
