"""Coroutines without tasks.

A task per command costs making it, and two rounds of the loop that it spends in queues (make bench over the feed,
without them: 0.88 times the server's time, 1.14 times as many acceptances a second). Most commands wait for one thing
only, an actor's answer, which is a future with a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def _ignore(result: object) -> None:
    del result


class Taskless(Generic[T]):
    """A coroutine that runs without a task: its first part at once, the others as what it waits for comes about.

    It is kept alive by the future that it waits for. It may wait for futures only, each of which must have a
    deadline; nobody can cancel it.

    Args:
        work: the coroutine.
        failed: told what it raised.
        done: told what it returned.
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
        """Go on until the next future, or to the end."""
        del waited_for
        try:
            future = self._work.send(None)
        except StopIteration as end:
            self._done(end.value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever asked must hear something
            # Cancelled was what it waited for: there is no task that could have been meant.
            self._failed(error)
        else:
            if future is None:  # it only lets others go first
                asyncio.get_running_loop().call_soon(self.step)
            else:
                # What a task does to show that it has understood.
                future._asyncio_future_blocking = False
                future.add_done_callback(self.step)
