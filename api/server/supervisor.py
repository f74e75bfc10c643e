"""Supervisor: several instances on one machine behind one port.

The supervisor binds the public socket once and passes it to every instance: a connection that is not accepted yet waits
in the kernel's queue while instances end or restart. It restarts instances that end by themselves, and restarts all
of them one after the other on SIGHUP. It does little else, so it rarely fails; if it is killed all the same, the
instances see their lifeline end, and leave.

Workers are kept beside the instances, so that a job that ends its process ends no driver's session. Operators of the
whole machine are served beside the supervisor (api/server/host_endpoint.py), from `processes`.

A rolling restart begins with one more instance, in a spare slot. When it serves, the old ones stop accepting
connections and leave one by one, each after the next new one has come; so every driver is disconnected once, and
reconnects to an instance that stays. A version that does not start costs nothing. The last slot to leave is the next
spare. Workers are restarted last, one after the other.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence

import structlog

from api.server.process_slot import USURPED_CODE, Process, ProcessSlot, keep_running

log = structlog.get_logger()

# A drain takes at most 15 s; a process that still runs after this long is killed.
STOP_S = 20.0
READY_S = 60.0
# Time for the old instances to stop accepting, before the first of them disconnects its drivers.
CLOSING_S = 0.5


class Supervisor:
    """Keeps all instances running but the last one, which is the spare for rolling restarts.

    `opened` is called when the first one serves.
    """

    def __init__(
        self, instances: Sequence[ProcessSlot], workers: Sequence[ProcessSlot], opened: Callable[[], None]
    ) -> None:
        self.serving = list(instances[:-1])
        self.spare = instances[-1]
        self.workers = workers
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
        known.sort(key=lambda process: (len(process.instance), process.instance))
        return known + [worker.told(spare=False) for worker in self.workers]

    async def run(self) -> int:
        """Run until SIGTERM, Ctrl-C, or a younger supervisor of the same name; SIGHUP starts a rolling restart."""
        loop, again = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        async with asyncio.TaskGroup() as tasks:
            for slot in (*self.serving, *self.workers):
                self._start(tasks, slot)
            working = [
                tasks.create_task(self._roll(tasks, again), name="rolling restarts"),
                *(tasks.create_task(self._open_with(i), name="opening") for i in self.serving),
            ]
            await self._stop.wait()
            for task in working:
                task.cancel()
            for slot in (*self.serving, self.spare, *self.workers):
                slot.signal(signal.SIGTERM)
            lives = [task for task in self._lives.values() if not task.done()]
            _, left = await asyncio.wait(lives, timeout=STOP_S) if lives else ((), ())
            for task in left:
                task.cancel()
        return self._exit_code

    async def _open_with(self, instance: ProcessSlot) -> None:
        await instance.ready.wait()
        opened, self._opened = self._opened, lambda: None
        opened()

    def _start(self, tasks: asyncio.TaskGroup, instance: ProcessSlot) -> None:
        instance.retired = False
        self._lives[instance.name] = tasks.create_task(self._keep(instance), name=instance.name)

    async def _keep(self, instance: ProcessSlot) -> None:
        if await keep_running(instance, self._lifeline[0], self._stop) == USURPED_CODE:
            self._give_way(instance)

    def _give_way(self, instance: ProcessSlot) -> None:
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
                for worker in self.workers:
                    await self._end(worker)
                    self._start(tasks, worker)
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

    async def _retire(self, instance: ProcessSlot) -> None:
        """Drain and end an instance; its slot is the next spare."""
        log.info("retires_process", instance=instance.name)
        await self._end(instance)
        self.serving.remove(instance)
        self.spare = instance

    async def _end(self, instance: ProcessSlot) -> None:
        instance.retired = True
        instance.signal(signal.SIGTERM)
        _, left = await asyncio.wait([self._lives[instance.name]], timeout=STOP_S)
        for task in left:
            task.cancel()
