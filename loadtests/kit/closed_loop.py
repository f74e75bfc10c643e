"""A closed loop: a fixed number of requests in flight, the next one as soon as one is answered."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import orjson

from loadtests.kit.wire import FeedWire, HttpWire

# Longer than any honest answer; a run that hangs must end.
PATIENCE_S = 30.0


@dataclass(slots=True)
class Answers:
    """The answers of a loop."""

    seconds: array[float] = field(default_factory=lambda: array("d"))
    good: int = 0
    refused: int = 0
    failed: int = 0
    took_s: float = 0.0
    bodies: list[bytes] = field(default_factory=list)

    def add(self, other: Answers) -> None:
        """Both together."""
        self.seconds.extend(other.seconds)
        self.good += other.good
        self.refused += other.refused
        self.failed += other.failed
        self.took_s += other.took_s


class _Loop:
    """What both kinds of connection share: the next job, and when to stop."""

    def __init__(self, jobs: int, seconds: float | None) -> None:
        self.answers = Answers()
        self._left = jobs
        self._next = 0
        self._flying = 0
        self._seconds = seconds
        self._began = 0.0
        self._until = float("inf")
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def used(self) -> int:
        """Jobs that were begun."""
        return self._next

    def _begin(self) -> None:
        self._began = perf_counter()
        if self._seconds is not None:
            self._until = self._began + self._seconds

    def _take(self) -> int | None:
        """The next job, or None when it is over."""
        if self._next >= self._left or perf_counter() >= self._until:
            self._stop()
            return None
        self._next += 1
        self._flying += 1
        return self._next - 1

    def _stop(self) -> None:
        """One connection rests; the last one ends the loop."""
        if not self._flying and not self._done.done():
            self._done.set_result(None)

    def _heard(self, began: float, *, good: bool, refused: bool) -> None:
        self._flying -= 1
        now = perf_counter()
        if now <= self._until:
            answers = self.answers
            answers.seconds.append(now - began)
            answers.took_s = now - self._began
            answers.good += good
            answers.refused += refused
            answers.failed += not (good or refused)

    async def _wait(self) -> Answers:
        async with asyncio.timeout((self._seconds or 0.0) + PATIENCE_S):
            await self._done
        return self.answers


class RestLoop(_Loop):
    """Requests over kept-alive connections."""

    def __init__(
        self,
        wires: Sequence[HttpWire],
        jobs: Sequence[bytes],
        seconds: float | None = None,
        *,
        keep: bool = False,
    ) -> None:
        super().__init__(len(jobs), seconds)
        self._wires = wires
        self._jobs = jobs
        self._keep = keep

    async def run(self) -> Answers:
        """All jobs, or as many as fit into the time.

        Raises:
            TimeoutError: an answer does not come.
        """
        self._begin()
        for wire in self._wires:
            self._go(wire)
        return await self._wait()

    def _go(self, wire: HttpWire) -> None:
        job = self._take()
        if job is None:
            return
        began = perf_counter()

        def then(status: int, body: bytes) -> None:
            self._heard(began, good=200 <= status < 300, refused=400 <= status < 500)
            if self._keep:
                self.answers.bodies.append(body)
            if status:
                self._go(wire)
            else:
                self._stop()

        wire.ask(self._jobs[job], then)


@dataclass(slots=True)
class FeedJob:
    """A command for one socket; `name` is what a winner is remembered by."""

    socket: int
    frame: Callable[[int], bytes]
    name: str


class FeedLoop(_Loop):
    """Commands over drivers' sockets: `flying` at once over all sockets together.

    Attributes:
        won: (socket, name) of every job that won.
    """

    def __init__(self, sockets: Sequence[FeedWire], jobs: Sequence[FeedJob], flying: int) -> None:
        super().__init__(len(jobs), None)
        self._sockets = sockets
        self._jobs = jobs
        self._width = flying
        self._asked: dict[int, float] = {}
        self.won: list[tuple[int, str]] = []

    async def run(self) -> Answers:
        """All jobs, or as many as fit into the time.

        Raises:
            TimeoutError: an answer does not come.
        """
        for socket in self._sockets:
            socket.on_text = self._text
        self._begin()
        for _ in range(self._width):
            self._go()
        return await self._wait()

    def _go(self) -> None:
        job = self._take()
        if job is None:
            return
        self._asked[job] = perf_counter()
        one = self._jobs[job]
        self._sockets[one.socket].send(one.frame(job))

    def _text(self, text: bytes) -> None:
        if text.startswith((b'{"t":"event"', b'{"t":"state"')):
            return
        frame = orjson.loads(text)
        began = self._asked.pop(frame.get("id", -1), None) if frame["t"] in ("reply", "error") else None
        if began is None:
            return
        job = self._jobs[frame["id"]]
        results = frame.get("results")
        result = results[0]["result"] if results else frame.get("result", frame.get("code"))
        good = result in ("won", "failed", "delivered")
        if result == "won":
            self.won.append((job.socket, job.name))
        self._heard(began, good=good, refused=result == "order_taken")
        self._go()
