"""A pod's life: init containers, the container with probes and restarts, and its end: pause, SIGTERM, grace."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.kubelet.template import PYTHON, Container, PodTemplate, Probe, image_entry

# Kubernetes waits 10 s before a second restart, and doubles that; here no test needs to see it.
BACK_OFF_S = 0.5


@dataclass(frozen=True, slots=True)
class Node:
    """What pods have in common: secrets, settings of an overlay, and a folder for logs."""

    secrets: Mapping[str, str]
    settings: Mapping[str, str]
    folder: Path


class Pod:
    """One pod.

    Attributes:
        ip: its address, one of 127.0.0.0/8.
        started: the startup probe has succeeded in this life of the container.
        passes: the readiness probe succeeds.
        leaving: it was deleted.
        gone: its processes have ended.
        restarts: of the container.
        killed: it did not end within the grace.
        probed: answered and unanswered probes, by path.
    """

    def __init__(self, name: str, ip: str, template: PodTemplate, node: Node) -> None:
        self.name, self.ip, self.template = name, ip, template
        self.started = self.passes = self.gone = self.killed = False
        self.restarts = 0
        self.probed: Counter[str] = Counter()
        self.ready_at: float | None = None
        self._node = node
        self._deleted = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def leaving(self) -> bool:
        return self._deleted.is_set()

    @property
    def ready(self) -> bool:
        """An endpoint of its service."""
        return self.started and self.passes and not self.leaving

    @property
    def available(self) -> bool:
        """Ready for as long as the Deployment asks for."""
        waited_s = asyncio.get_running_loop().time() - (self.ready_at or 0.0)
        return self.ready and self.ready_at is not None and waited_s >= self.template.ready_s

    @property
    def log_path(self) -> Path:
        return self._node.folder / f"{self.name}.log"

    def delete(self) -> None:
        """As the API server does: from now on it is no endpoint, and it ends."""
        self._deleted.set()

    def freeze(self) -> None:
        """Stop the container's process as it is."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def run(self) -> None:
        """Live until the end."""
        try:
            for container in self.template.init:
                while not self.leaving and await (await self._spawn(container)).wait() != 0:
                    await self._pause(BACK_OFF_S)
            while not self.leaving:
                await self._live()
                if not self.leaving:
                    self.restarts += 1
                    await self._pause(BACK_OFF_S)
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            self.gone = True

    async def _live(self) -> None:
        """One life of the container: until it ends, is no longer alive, or the pod is deleted."""
        self._process = process = await self._spawn(self.template.main)
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(process.wait(), name="process")
            probes = tasks.create_task(self._probe_all(), name="probes")
            deleted = tasks.create_task(self._deleted.wait(), name="deleted")
            await asyncio.wait([ended, probes, deleted], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                # A container that is restarted has its pause, too; it is probed until it ends.
                await asyncio.wait([ended], timeout=self.template.pause_s)
            if not ended.done():
                await self._end(process)
            probes.cancel()
            deleted.cancel()
        self.started = self.passes = False
        self.ready_at = None

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """SIGTERM, and SIGKILL when the grace is over; the pause has taken its part of it."""
        process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.template.grace_s - self.template.pause_s):
                await process.wait()
                return
        self.killed = True
        process.kill()
        await process.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the pod exists."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._deleted.wait()

    # -- probes -------------------------------------------------------------------------------

    async def _probe_all(self) -> None:
        """Returns when the container has to be restarted."""
        if not await self._starts(self.template.startup):
            return
        self.started = True
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(self._watch_readiness(), name="readiness")
            await self._watch_liveness()
            asked.cancel()

    async def _starts(self, probe: Probe) -> bool:
        for _ in range(probe.failures):
            if await self._succeeds(probe):
                return True
            await asyncio.sleep(probe.period_s)
        return False

    async def _watch_liveness(self) -> None:
        failed, probe = 0, self.template.liveness
        while failed < probe.failures:
            await asyncio.sleep(probe.period_s)
            failed = 0 if await self._succeeds(probe) else failed + 1

    async def _watch_readiness(self) -> None:
        failed, probe = 0, self.template.readiness
        while True:
            good = await self._succeeds(probe)
            failed = 0 if good else failed + 1
            passes = good or (self.passes and failed < probe.failures)
            if passes != self.passes:
                self.passes = passes
                self.ready_at = asyncio.get_running_loop().time() if passes else None
            await asyncio.sleep(probe.period_s)

    async def _succeeds(self, probe: Probe) -> bool:
        good = await ask(self.ip, probe.port, probe.path, probe.timeout_s)
        self.probed[probe.path] += 1
        return good

    # -- processes ----------------------------------------------------------------------------

    async def _spawn(self, container: Container) -> asyncio.subprocess.Process:
        entry, variables = image_entry()
        program = [sys.executable if word == PYTHON else word for word in entry]
        with self.log_path.open("ab") as out:
            return await asyncio.create_subprocess_exec(
                *program, *container.args, cwd=self.template.tree, env=self._environ(container, variables), stdout=out,
                stderr=out,
            )  # fmt: skip

    def _environ(self, container: Container, variables: Mapping[str, str]) -> dict[str, str]:
        facts = {"metadata.name": self.name, "status.podIP": self.ip}
        given = {**variables, **container.settings, **(self._node.settings if container.settings else {})}
        given |= {name: facts[path] for name, path in container.fields.items()}
        given |= {
            name: self._node.secrets[key]
            for name, key in container.secrets.items()
            if key in self._node.secrets
        }
        # Another version refuses settings that it does not know.
        known = (self.template.tree / "config" / "settings.py").read_text()
        given = {
            name: value
            for name, value in given.items()
            if not name.startswith("MALL_") or f'"{name}"' in known
        }
        # A pod has its own 0.0.0.0; here it has an address.
        given = {name: self.ip if value == "0.0.0.0" else value for name, value in given.items()}
        return {"PATH": "/usr/bin:/bin", "MALL_FAST_PATH": os.environ.get("MALL_FAST_PATH", ""), **given}


async def ask(ip: str, port: int, path: str, timeout_s: float) -> bool:
    """An HTTP probe: any status from 200 to 399 is a success."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(ip, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {ip}:{port}\r\nConnection: close\r\n\r\n".encode())
            status = (await reader.readline()).split()
            return len(status) > 1 and 200 <= int(status[1]) < 400
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()
