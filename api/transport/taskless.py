"""Coroutines that run without a task.

A task per command costs its creation, and two turns of the loop in queues (make bench over the feed, without them: 0.88
times the server's time, 1.14 times as many acceptances a second). Most commands wait only for an actor's answer, which
is a future with a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def _ignore(result: object) -> None:
    del result


class Taskless(Generic[T]):
    """A coroutine that runs without a task: the first part at once, each further part when its future is done.

    The future that it waits for keeps it alive. It may wait for futures only, each of which must have a deadline.
    It cannot be cancelled.

    Args:
        work: the coroutine.
        failed: called with the exception that it raised.
        done: called with its return value.
    """

    __slots__ = ("_done", "_failed", "_work")

    def __init__(
        self,
        work: Coroutine[Any, None, T],
        failed: Callable[[BaseException], None],
        done: Callable[[T], None] = _ignore,
    ) -> None:
        self._work = work
        self._done = done
        self._failed = failed

    def step(self, waited_for: object = None) -> None:
        """Run until the next future, or to the end."""
        del waited_for
        try:
            future = self._work.send(None)
        except StopIteration as end:
            self._done(end.value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - every command gets an answer
            # The awaited future was cancelled; there is no task that could have been meant.
            self._failed(error)
        else:
            if future is None:  # a bare yield: other callbacks go first
                asyncio.get_running_loop().call_soon(self.step)
            else:
                # As a task does, to confirm that it waits for the future.
                future._asyncio_future_blocking = False
                future.add_done_callback(self.step)
