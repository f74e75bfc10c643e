"""An event loop that owns time and order.

Nothing sleeps: when no task is ready the clock jumps to the next timer. Tasks that are ready together run
in an order drawn from the seed, so that races are explored and any run can be repeated exactly.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _NoSelector(selectors.BaseSelector):
    """A selector without sockets: waiting is a jump of the clock."""

    def __init__(self) -> None:
        self.jump_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the simulation stands still: nothing is ready and no timer is set")
        self.jump_s = max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any: ...
    def unregister(self, fileobj: Any) -> Any: ...
    def get_map(self) -> Any:
        return {}


class _SimTask(asyncio.Task[Any]):
    """A task whose place in a set is its number, not its address: task groups cancel in the order of a set."""

    def __init__(self, number: int, coro: Any, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class SimLoop(asyncio.BaseEventLoop):
    """A deterministic loop of a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._selector = _NoSelector()
        self._now = 1_000.0
        self._rng = random.Random(seed)
        self._clock_resolution = 1e-9
        self._tasks_made = 0
        self.set_task_factory(self._make_task)

    def _make_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _SimTask:
        self._tasks_made += 1
        return _SimTask(self._tasks_made, coro, loop=loop, **options)

    def time(self) -> float:
        return self._now

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if len(ready) > 1:
            # Only tasks that were ready at the same moment change places.
            shuffled = list(ready)
            self._rng.shuffle(shuffled)
            ready.clear()
            ready.extend(shuffled)
        super()._run_once()  # type: ignore[misc]
        self._now += self._selector.jump_s
        self._selector.jump_s = 0.0


@contextmanager
def simulated(seed: int) -> Iterator[SimLoop]:
    """A loop to run something in, which is closed when the block ends."""
    loop = SimLoop(seed)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()
