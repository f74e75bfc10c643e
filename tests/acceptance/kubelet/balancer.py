"""A TCP balancer in front of a Deployment's pods: a new connection goes to the ready pod that has the fewest.

Of those that have as many, up to SLACK, the youngest gets it. Without the slack a new pod that has taken what the one
before it had is level with the others, and one connection of a customer sends a driver to a pod that leaves next. The
balancer learns of changes late, as every one does: that is what
the pause before SIGTERM is for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from tests.acceptance.kubelet.pod import Pod

PIECE_BYTES = 65_536
SLACK = 2


class Balancer:
    """Where connections go.

    Attributes:
        connections: open ones, by pod.
        refused: connections that a pod, or the lack of one, has refused.
    """

    def __init__(self, ready: Callable[[], Sequence[Pod]], port: int, late_s: float) -> None:
        self.connections: Counter[str] = Counter()
        self.refused = 0
        self.url = ""
        self._ready, self._port, self._late_s = ready, port, late_s
        self._known: list[Pod] = []
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Balancer]:
        """Accept connections until the block ends."""
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._learn(), name="endpoints")
            try:
                yield self
            finally:
                watching.cancel()
                for writer in list(self._writers):
                    writer.close()

    async def _learn(self) -> None:
        while True:
            now = list(self._ready())
            # Who is new is known at once, which is the worse case: who leaves, late.
            self._known = now if set(now) >= set(self._known) else self._known
            await asyncio.sleep(self._late_s)
            self._known = now

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._known:
                self.refused += 1
                return
            fewest = min(self.connections[pod.name] for pod in self._known)
            level = [pod for pod in self._known if self.connections[pod.name] <= fewest + SLACK]
            pod = level[-1]
            self.connections[pod.name] += 1
            try:
                await self._join(pod, reader, writer)
            finally:
                self.connections[pod.name] -= 1
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _join(self, pod: Pod, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, to_pod = await asyncio.open_connection(pod.ip, self._port)
        except OSError:
            self.refused += 1
            return
        self._writers.add(to_pod)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, to_pod), name="to the pod")
                tasks.create_task(_pump(theirs, writer), name="to the client")
        finally:
            self._writers.discard(to_pod)
            to_pod.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, and pass the end on."""
    with suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()
