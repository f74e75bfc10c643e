"""Batcher: requests that arrive during a call become the next call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from actors.errors import JournalError, NotWritten, Overloaded, Unanswered

A = TypeVar("A")
B = TypeVar("B")


class Batcher(Generic[A, B]):
    """Collects requests and answers them in batches.

    Args:
        call: answers a batch, in order; an answer may be an exception for that request alone. `NotWritten` for more
            than one item divides the batch, so that one bad item does not fail the others. `Unanswered` is repeated, or
            passed to each caller.
        repeat: how often an unanswered call is repeated; for idempotent calls only.
        waiting_max: limit of queued requests, above which `ask` raises Overloaded.
    """

    def __init__(
        self,
        call: Callable[[Sequence[A]], Awaitable[Sequence[B | JournalError]]],
        *,
        batch_max: int = 128,
        waiting_max: int = 5000,
        repeat: int = 0,
    ) -> None:
        self._call = call
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._repeat = repeat
        self._waiting: deque[tuple[A, asyncio.Future[B]]] = deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(self, request: A) -> B:
        """Queue a request and wait for its answer.

        After a cancellation the request may still be sent.
        """
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded("too many requests are waiting")
        future: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Make calls until cancelled."""
        while True:
            await self._wake.wait()
            while self._waiting:
                size = min(len(self._waiting), self._batch_max)
                batch = [self._waiting.popleft() for _ in range(size)]
                batch = [(request, future) for request, future in batch if not future.done()]
                if batch:
                    await self._answer(batch)
            self._wake.clear()

    async def _answer(
        self, batch: list[tuple[A, asyncio.Future[B]]], tries: int = 0, *, sent: bool = False
    ) -> None:
        try:
            answers = await self._call([request for request, _ in batch])
        except NotWritten as refused:
            if len(batch) > 1 and not refused.transient:
                middle = len(batch) // 2
                await self._answer(batch[:middle], sent=sent)
                await self._answer(batch[middle:], sent=sent)
                return
            self._fail(batch, Unanswered(str(refused)) if sent else refused)
        except Exception as failure:  # noqa: BLE001 - what is not a definite answer is none
            sent = sent or not isinstance(failure, Unanswered) or failure.sent
            if tries < self._repeat:
                await asyncio.sleep(min(1.0, 0.05 * 2**tries))
                await self._answer(batch, tries + 1, sent=sent)
                return
            surely_not = NotWritten("not reached", transient=True)
            self._fail(batch, Unanswered(type(failure).__name__) if sent else surely_not)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, JournalError):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    @staticmethod
    def _fail(batch: list[tuple[A, asyncio.Future[B]]], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
