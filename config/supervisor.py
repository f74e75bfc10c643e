"""Several instances on one machine behind one port.

The supervisor binds the public socket once and gives it to every instance: a connection that nobody has taken
yet waits in the system's queue, whoever dies or restarts. It starts again what ended by itself, and restarts
all of them one after the other on SIGHUP. It does nothing else, so there is little that could end it; should
it be killed all the same, the instances see their lifeline end and leave.

A rolling restart begins with one instance more: there is a spare slot. When it serves, the old ones stop taking
connections and leave one by one, each after the next new one has come; so every driver is sent away once, to an
instance that stays, and a version that does not start costs nothing. The slot that left last is the next spare.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

# An instance that ended sooner than this after its start waits before it is started again, each time longer.
STEADY_S = 10.0
PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 15.0
# A drain takes at most 15 s; who is still there after this long is killed.
STOP_S = 20.0
READY_S = 60.0
# For the old ones to take no more connections, before the first of them sends its drivers away.
CLOSING_S = 0.5


class Instance:
    """One process, over all its lives."""

    def __init__(
        self, name: str, arguments: Sequence[str], listeners: Sequence[int], environ: Mapping[str, str]
    ) -> None:
        self.name = name
        self._listeners = listeners
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self.retired = False
        self._arguments = arguments
        self._environ = environ

    async def live(self, lifeline: int) -> int:
        """Run one life; returns its exit code. `ready` is set while it serves."""
        loop = asyncio.get_running_loop()
        told, tell = os.pipe()
        keep = (lifeline, tell, *self._listeners)
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self._arguments, "--lifeline", str(lifeline), "--ready", str(tell),
                env=dict(self._environ), pass_fds=keep, start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(told)
            raise
        finally:
            os.close(tell)
        self.starts += 1

        def hear() -> None:
            loop.remove_reader(told)
            if os.read(told, 1):
                self.ready.set()

        loop.add_reader(told, hear)
        try:
            return await self.process.wait()
        finally:
            loop.remove_reader(told)
            os.close(told)
            self.ready.clear()
            if self.process.returncode is None:
                self.process.kill()
            self.process = None

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


def make_instances(
    name: str, program: str, public: socket.socket, ops: Sequence[socket.socket], environ: Mapping[str, str]
) -> list[Instance]:
    """One instance for each ops listener; all of them take connections from the public one."""
    instances = []
    for number, listener in enumerate(ops, 1):
        listeners = (public.fileno(), listener.fileno())
        arguments = [program, "serve", "--public", str(listeners[0]), "--ops", str(listeners[1])]
        own = f"{name.removesuffix('-1')}-{number}"
        # The supervisor has made the administrator and the sample; an instance asks for both in vain.
        founded = {"MALL_SAMPLE": "off", "MALL_ADMIN_PASSWORD": "not-used-by-instances"}
        instances.append(Instance(own, arguments, listeners, {**environ, **founded, "MALL_INSTANCE": own}))
    return instances


class Supervisor:
    """Keeps instances alive, all of them but the last one, which is the spare for rolling restarts.

    `say` is told of every life that ends.
    """

    def __init__(self, instances: Sequence[Instance], say: Callable[[str], None]) -> None:
        self.serving = list(instances[:-1])
        self.spare = instances[-1]
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._say = say
        self._stopping = False
        self._lifeline = os.pipe()

    async def run(self) -> int:
        """Until SIGTERM or Ctrl-C; SIGHUP restarts the instances one after the other."""
        loop, stop, again = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        async with asyncio.TaskGroup() as tasks:
            for instance in self.serving:
                self._start(tasks, instance)
            rolling = tasks.create_task(self._roll(tasks, again), name="rolling restarts")
            await stop.wait()
            self._stopping = True
            rolling.cancel()
            for instance in (*self.serving, self.spare):
                instance.signal(signal.SIGTERM)
            lives = [task for task in self._lives.values() if not task.done()]
            _, left = await asyncio.wait(lives, timeout=STOP_S) if lives else ((), ())
            for task in left:
                task.cancel()
        return 0

    def _start(self, tasks: asyncio.TaskGroup, instance: Instance) -> None:
        instance.retired = False
        self._lives[instance.name] = tasks.create_task(self._keep(instance), name=instance.name)

    async def _keep(self, instance: Instance) -> None:
        loop, pause_s = asyncio.get_running_loop(), PAUSE_S_MIN
        while True:
            began = loop.time()
            code = await instance.live(self._lifeline[0])
            if self._stopping or instance.retired:
                return
            if loop.time() - began > STEADY_S:
                pause_s = PAUSE_S_MIN
            self._say(f"{instance.name} ended with {code}; starting it again in {pause_s:.1f} s")
            await asyncio.sleep(pause_s)
            pause_s = min(PAUSE_S_MAX, pause_s * 3)

    async def _roll(self, tasks: asyncio.TaskGroup, again: asyncio.Event) -> None:
        """A new instance, then an old one less, until all are new."""
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
                self._say("restarted all instances")

    async def _bring_up(self, tasks: asyncio.TaskGroup) -> bool:
        """Start the spare one; False when it does not come to serve: then nothing else is touched."""
        spare = self.spare
        self._say(f"starting {spare.name}")
        self._start(tasks, spare)
        try:
            async with asyncio.timeout(READY_S):
                await spare.ready.wait()
        except TimeoutError:
            self._say(f"{spare.name} does not serve after {READY_S:.0f} s; the others stay as they are")
            await self._end(spare)
            return False
        self.serving.append(spare)
        return True

    async def _retire(self, instance: Instance) -> None:
        """Send an instance away; its slot is the next spare."""
        self._say(f"{instance.name} leaves")
        await self._end(instance)
        self.serving.remove(instance)
        self.spare = instance

    async def _end(self, instance: Instance) -> None:
        instance.retired = True
        instance.signal(signal.SIGTERM)
        _, left = await asyncio.wait([self._lives[instance.name]], timeout=STOP_S)
        for task in left:
            task.cancel()
