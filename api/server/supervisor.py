"""Supervisor: several instances on one machine behind one port.

The supervisor binds the public socket once and passes it to every instance: a connection that is not accepted yet waits
in the kernel's queue while instances end or restart. It restarts instances that end by themselves, and restarts all
of them one after the other on SIGHUP. It does little else, so it rarely fails; if it is killed all the same, the
instances see their lifeline end, and leave.

Each slot has an ops port of its own, over all its processes. The supervisor binds it, so that no other process takes
it, and it listens only while an instance runs: a bound port that does not listen refuses at once. Operators of the
whole machine are served beside the supervisor (api/server/host_endpoint.py), from `processes`.

A rolling restart begins with one more instance, in a spare slot. When it serves, the old ones stop accepting
connections and leave one by one, each after the next new one has come; so every driver is disconnected once, and
reconnects to an instance that stays. A version that does not start costs nothing. The last slot to leave is the next
spare.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

# An instance that ended sooner than this after its start is restarted after a delay, which grows.
STEADY_S = 10.0
PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 15.0
# A drain takes at most 15 s; a process that still runs after this long is killed.
STOP_S = 20.0
READY_S = 60.0
# Time for the old instances to stop accepting, before the first of them disconnects its drivers.
CLOSING_S = 0.5
# Exit code of an instance that has found a younger one of its name; its supervisor exits with it, too.
USURPED_CODE = 3
# The system's own: no process was started, or its ops port is taken.
NO_LIFE = 71

STARTING, SERVING, LEAVING, DOWN, SPARE = "starting", "serving", "leaving", "down", "spare"


@dataclass(frozen=True, slots=True)
class Process:
    """State of an instance's process.

    Attributes:
        state: one of the words above; a spare one is down by intention.
        pid: None while it is down.
        ops_host, ops_port: its ops address while it runs.
        starts: number of processes so far.
        exit_code: of the last process that has ended; negative for a signal.
    """

    instance: str
    state: str
    pid: int | None
    ops_host: str
    ops_port: int
    starts: int
    exit_code: int | None


class Instance:
    """One instance slot, over all its processes.

    Args:
        ops: bound, and not listening: the process that gets it listens.
    """

    def __init__(
        self, name: str, program: str, public: socket.socket, ops: socket.socket, environ: Mapping[str, str]
    ) -> None:
        self.name = name
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
        return Process(self.name, state, pid, host, port, self.starts, self.exit_code)

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
        log.info("started_process", instance=self.name, pid=self.process.pid, starts=self.starts)
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
        public = self._public.fileno()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            self._program,
            "serve",
            "--public",
            str(public),
            "--ops",
            str(ops.fileno()),
            "--lifeline",
            str(lifeline),
            "--ready",
            str(tell),
            env=dict(self._environ),
            pass_fds=(lifeline, tell, public, ops.fileno()),
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


def make_instances(
    name: str, program: str, public: socket.socket, ops: Sequence[socket.socket], environ: Mapping[str, str]
) -> list[Instance]:
    """One instance per ops port; all of them accept connections from the public port."""
    instances = []
    for number, bound in enumerate(ops, 1):
        own = f"{name.removesuffix('-1')}-{number}"
        # Only the supervisor makes the administrator and the sample, so instances do not get the password.
        known = {key: value for key, value in environ.items() if key != "MALL_ADMIN_PASSWORD"}
        instances.append(Instance(own, program, public, bound, {**known, "MALL_INSTANCE": own}))
    return instances


class Supervisor:
    """Keeps all instances running but the last one, which is the spare for rolling restarts.

    `opened` is called when the first one serves.
    """

    def __init__(self, instances: Sequence[Instance], opened: Callable[[], None]) -> None:
        self.serving = list(instances[:-1])
        self.spare = instances[-1]
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._opened = opened
        self._stop = asyncio.Event()
        self._exit_code = 0
        self._lifeline = os.pipe()

    @property
    def processes(self) -> list[Process]:
        """All processes by name, the spare one included."""
        known = [instance.told(spare=False) for instance in self.serving]
        if self.spare not in self.serving:
            known.append(self.spare.told(spare=True))
        return sorted(known, key=lambda process: (len(process.instance), process.instance))

    async def run(self) -> int:
        """Run until SIGTERM, Ctrl-C, or a younger supervisor of the same name; SIGHUP starts a rolling restart."""
        loop, again = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        async with asyncio.TaskGroup() as tasks:
            for instance in self.serving:
                self._start(tasks, instance)
            working = [
                tasks.create_task(self._roll(tasks, again), name="rolling restarts"),
                *(tasks.create_task(self._open_with(i), name="opening") for i in self.serving),
            ]
            await self._stop.wait()
            for task in working:
                task.cancel()
            for instance in (*self.serving, self.spare):
                instance.signal(signal.SIGTERM)
            lives = [task for task in self._lives.values() if not task.done()]
            _, left = await asyncio.wait(lives, timeout=STOP_S) if lives else ((), ())
            for task in left:
                task.cancel()
        return self._exit_code

    async def _open_with(self, instance: Instance) -> None:
        await instance.ready.wait()
        opened, self._opened = self._opened, lambda: None
        opened()

    def _start(self, tasks: asyncio.TaskGroup, instance: Instance) -> None:
        instance.retired = False
        self._lives[instance.name] = tasks.create_task(self._keep(instance), name=instance.name)

    async def _keep(self, instance: Instance) -> None:
        loop, pause_s = asyncio.get_running_loop(), PAUSE_S_MIN
        while True:
            began = loop.time()
            reason = None
            try:
                code = await instance.live(self._lifeline[0])
            except OSError as error:
                code, reason = NO_LIFE, str(error)
            if self._stop.is_set() or instance.retired:
                log.info("ended_process", instance=instance.name, code=code)
                return
            if code == USURPED_CODE:
                self._give_way(instance)
                return
            if loop.time() - began > STEADY_S:
                pause_s = PAUSE_S_MIN
            log.error(
                "lost_process", instance=instance.name, code=code, reason=reason, again_in_s=round(pause_s, 1)
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()
            if self._stop.is_set() or instance.retired:
                return
            pause_s = min(PAUSE_S_MAX, pause_s * 3)

    def _give_way(self, instance: Instance) -> None:
        """End the older of two supervisors of one name; otherwise they would end each other's instances for ever."""
        log.error(
            "ended_by_namesake",
            instance=instance.name,
            setting="MALL_INSTANCE",
            remedy="Another supervisor runs instances of these names; give each a MALL_INSTANCE of its own.",
        )
        self._exit_code = USURPED_CODE
        self._stop.set()

    async def _roll(self, tasks: asyncio.TaskGroup, again: asyncio.Event) -> None:
        """Rolling restart: start a new instance, then end an old one, until all are new."""
        while True:
            await again.wait()
            again.clear()
            old = list(self.serving)
            for index, instance in enumerate(old):
                if not await self._bring_up(tasks):
                    break
                if index == 0:
                    for other in old:
                        other.signal(signal.SIGUSR1)
                    await asyncio.sleep(CLOSING_S)
                await self._retire(instance)
            else:
                log.info("restarted_all_instances")

    async def _bring_up(self, tasks: asyncio.TaskGroup) -> bool:
        """Start the spare instance; False when it does not get ready, and then nothing else changes."""
        spare = self.spare
        self._start(tasks, spare)
        try:
            async with asyncio.timeout(READY_S):
                await spare.ready.wait()
        except TimeoutError:
            log.error("abandoned_restart", instance=spare.name, after_s=READY_S)
            await self._end(spare)
            return False
        self.serving.append(spare)
        return True

    async def _retire(self, instance: Instance) -> None:
        """Drain and end an instance; its slot is the next spare."""
        log.info("retires_process", instance=instance.name)
        await self._end(instance)
        self.serving.remove(instance)
        self.spare = instance

    async def _end(self, instance: Instance) -> None:
        instance.retired = True
        instance.signal(signal.SIGTERM)
        _, left = await asyncio.wait([self._lives[instance.name]], timeout=STOP_S)
        for task in left:
            task.cancel()
