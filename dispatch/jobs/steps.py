"""Steps of a job: which job's code runs, at each moment. Between its steps a job waits, and others have theirs."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any

from dispatch.jobs.ports import StepRecord


async def recorded(job: int, work: Coroutine[Any, Any, None], steps: StepRecord) -> None:
    """Run the work of a job with a record of each of its steps."""
    await _stepped(job, work, steps)


@types.coroutine
def _stepped(job: int, work: Coroutine[Any, Any, None], steps: StepRecord) -> Generator[Any, Any, None]:
    resume, answer = work.send, None
    try:
        while True:
            steps.enter(job)
            try:
                awaited = resume(answer)
            except StopIteration:
                return
            finally:
                steps.leave()
            try:
                resume, answer = work.send, (yield awaited)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - the work gets it, also its cancellation
                resume, answer = work.throw, error
    finally:
        work.close()
