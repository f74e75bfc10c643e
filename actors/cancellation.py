"""The end of tasks that repeat for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

# Between two cancellations of one task; a farewell within it is not disturbed.
AGAIN_S = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    Once is not always enough: `asyncio.wait_for` of Python 3.11, which database drivers use, loses a
    cancellation that comes at the moment of the result, and a loop that was told to end goes on for ever
    (seen: an instance that did not leave, once in some thirty shutdowns of a whole cluster).
    """
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
        left = [task for task in left if not task.done()]
