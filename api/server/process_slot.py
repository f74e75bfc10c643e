"""Processes that this one starts and keeps running: instances and workers.

A slot has a name and an ops port over all its processes. The ops port is bound here, so that no other process takes it,
and listens only while a process runs: a bound port that does not listen refuses at once. A process that ends by itself
is started again, after a pause that grows while it does not stay. When this process dies, its children see their
lifeline end, and leave.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

log = structlog.get_logger()

# A process that ended sooner than this after its start is restarted after a delay, which grows.
STEADY_S = 10.0
PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 15.0
# Exit code of an instance that has found a younger one of its name; its supervisor exits with it, too.
USURPED_CODE = 3
# The system's own: no process was started, or its ops port is taken.
NO_LIFE = 71

STARTING, SERVING, LEAVING, DOWN, SPARE = "starting", "serving", "leaving", "down", "spare"


Role = Literal["instance", "worker"]
_COMMANDS: Mapping[Role, str] = {"instance": "serve", "worker": "work"}


@dataclass(frozen=True, slots=True)
class Process:
    """State of a slot's process.

    Attributes:
        role: what it does: an instance serves, a worker runs background jobs.
        state: one of the words above; a spare one is down by intention.
        pid: None while it is down.
        ops_host, ops_port: its ops address while it runs.
        starts: number of processes so far.
        exit_code: of the last process that has ended; negative for a signal.
    """

    instance: str
    role: Role
    state: str
    pid: int | None
    ops_host: str
    ops_port: int
    starts: int
    exit_code: int | None


class ProcessSlot:
    """A slot, over all its processes.

    Args:
        public: for an instance, the public port that it accepts from.
        ops: bound, and not listening: the process that gets it listens.
    """

    def __init__(
        self,
        name: str,
        program: str,
        ops: socket.socket,
        environ: Mapping[str, str],
        *,
        public: socket.socket | None,
    ) -> None:
        self.name = name
        self.role: Role = "worker" if public is None else "instance"
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self.exit_code: int | None = None
        self.retired = False
        self._program = program
        self._public = public
        self._ops: socket.socket | None = ops
        self._family, self._address = ops.family, ops.getsockname()
        self._environ = environ

    def told(self, *, spare: bool) -> Process:
        """The state of its process."""
        state = SPARE if spare else DOWN
        if self.process is not None:
            state = LEAVING if self.retired else SERVING if self.ready.is_set() else STARTING
        pid = None if self.process is None else self.process.pid
        host, port = self._address[0], self._address[1]
        return Process(self.name, self.role, state, pid, host, port, self.starts, self.exit_code)

    async def live(self, lifeline: int) -> int:
        """Run one process; returns its exit code. `ready` is set while it serves.

        Raises:
            OSError: no process could be started, or its ops port is taken by now.
        """
        loop = asyncio.get_running_loop()
        ops = self._reserve()
        told, tell = os.pipe()
        try:
            self.process = await self._spawn(lifeline, tell, ops)
        except OSError:
            os.close(told)
            raise
        finally:
            os.close(tell)
        # From here on the port belongs to the process alone, and closes with it.
        ops.close()
        self._ops = None
        self.starts += 1
        log.info(
            "started_process", instance=self.name, role=self.role, pid=self.process.pid, starts=self.starts
        )
        began = loop.time()

        def hear() -> None:
            loop.remove_reader(told)
            if os.read(told, 1):
                log.info("serves", instance=self.name, duration_s=round(loop.time() - began, 3))
                self.ready.set()

        loop.add_reader(told, hear)
        try:
            self.exit_code = await self.process.wait()
            return self.exit_code
        finally:
            loop.remove_reader(told)
            os.close(told)
            self.ready.clear()
            if self.process.returncode is None:
                self.process.kill()
            self.process = None
            with suppress(OSError):  # the next start binds again
                self._reserve()

    async def _spawn(self, lifeline: int, tell: int, ops: socket.socket) -> asyncio.subprocess.Process:
        passed = {"ops": ops.fileno(), "lifeline": lifeline, "ready": tell}
        if self._public is not None:
            passed["public"] = self._public.fileno()
        options = [text for name, number in passed.items() for text in (f"--{name}", str(number))]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            self._program,
            _COMMANDS[self.role],
            *options,
            env=dict(self._environ),
            pass_fds=tuple(passed.values()),
            start_new_session=True,
        )

    def _reserve(self) -> socket.socket:
        """Bind the ops port without listening: a client is refused at once."""
        if self._ops is None:
            ops = socket.socket(self._family, socket.SOCK_STREAM)
            try:
                ops.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                ops.bind(self._address)
            except OSError:
                ops.close()
                raise
            self._ops = ops
        return self._ops

    def signal(self, number: int) -> None:
        """Send the process a signal, if it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


def make_slots(
    name: str,
    program: str,
    ops: Sequence[socket.socket],
    environ: Mapping[str, str],
    *,
    public: socket.socket | None,
) -> list[ProcessSlot]:
    """One slot per ops port: instances that accept from the public port, or workers where there is none."""
    slots = []
    for number, bound in enumerate(ops, 1):
        own = f"{name.removesuffix('-1')}-{'' if public else 'worker-'}{number}"
        # Only this process makes the administrator and the sample, so its children do not get the password.
        known = {key: value for key, value in environ.items() if key != "MALL_ADMIN_PASSWORD"}
        slots.append(ProcessSlot(own, program, bound, {**known, "MALL_INSTANCE": own}, public=public))
    return slots


async def keep_running(slot: ProcessSlot, lifeline: int, stop: asyncio.Event) -> int | None:
    """Run a slot's processes, one after the other, until it is retired or `stop` is set.

    Returns:
        None; or USURPED_CODE, when its process has found a younger one of its name.
    """
    loop, pause_s = asyncio.get_running_loop(), PAUSE_S_MIN
    while True:
        began = loop.time()
        reason = None
        try:
            code = await slot.live(lifeline)
        except OSError as error:
            code, reason = NO_LIFE, str(error)
        if stop.is_set() or slot.retired:
            log.info("ended_process", instance=slot.name, code=code)
            return None
        if code == USURPED_CODE:
            return code
        if loop.time() - began > STEADY_S:
            pause_s = PAUSE_S_MIN
        log.error("lost_process", instance=slot.name, code=code, reason=reason, again_in_s=round(pause_s, 1))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stop.wait()
        if stop.is_set() or slot.retired:
            return None
        pause_s = min(PAUSE_S_MAX, pause_s * 3)
