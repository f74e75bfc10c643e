"""End of background loops, by cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

# Pause between two cancellations of one task, so that its clean-up is not interrupted.
AGAIN_S = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    One cancellation is not always enough. `asyncio.wait_for` of Python 3.11, which database drivers use, loses a
    cancellation that arrives together with the result, and the loop goes on for ever. (About one in thirty shutdowns of
    a whole cluster left an instance running.)
    """
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
        left = [task for task in left if not task.done()]
