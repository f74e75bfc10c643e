"""The worker process with tasks of the tools: `python -m loadtests.kit.job_worker EFFECTS WIDTH LEASE_S --ready FD`.

It is the product's process, api/work/process.py, with another table of tasks: `pause`, `kill`, `nothing`, and `follow`,
whose jobs follow from new orders. The tasks tell in a file of effects when they began and ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from api.transport.listening_sockets import bind_port
from api.work import process
from config.logs import open_logs
from config.settings import load_settings
from dispatch.jobs import events
from dispatch.jobs.schedules import Schedule
from dispatch.jobs.tasks import Job, Payload, Task
from dispatch.jobs.worker import Worker


class Numbered(Payload):
    """A number of the job's own, and how long it takes."""

    n: int
    seconds: float = 0.0


class FollowedEvent(Payload):
    """The event from which a job follows."""

    type: str
    ref: int
    version: int
    order_id: int | None


class Effects:
    """What jobs have done, told in a file that all workers append to: what, number, process, time."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(self, what: str, n: int) -> None:
        """Append a line at once."""
        os.write(self._file, f"{what} {n} {os.getpid()} {time.time():.6f}\n".encode())

    async def pause(self, payload: Numbered, job: Job) -> None:
        """Take some seconds."""
        del job
        self.tell("begin", payload.n)
        await asyncio.sleep(payload.seconds)
        self.tell("end", payload.n)

    async def kill(self, payload: Numbered, job: Job) -> None:
        """End the process that does this."""
        del job
        self.tell("begin", payload.n)
        await asyncio.sleep(payload.seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    async def nothing(self, payload: Numbered, job: Job) -> None:
        """Have no effect."""
        del payload, job

    async def follow(self, payload: FollowedEvent, job: Job) -> None:
        """Tell that the job of an order's event has begun."""
        del job
        self.tell("begin", payload.ref)

    def tasks(self, width: int) -> tuple[Sequence[Task[Any]], Sequence[Schedule]]:
        """All tasks, and no schedule."""
        numbered = partial(Task, payload=Numbered, width=width, deadline_s=60.0)
        named = {"pause": self.pause, "kill": self.kill, "nothing": self.nothing}
        tasks: list[Task[Any]] = [numbered(name, run=run) for name, run in named.items()]
        return [*tasks, Task("follow", FollowedEvent, self.follow, width=width)], []


def main() -> int:
    """Work until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("effects", type=Path)
    parser.add_argument("width", type=int)
    parser.add_argument("lease_s", type=float)
    parser.add_argument("--ready", type=int, required=True)
    options = parser.parse_args()
    settings = load_settings(founds=False)
    effects = Effects(options.effects)
    with (
        bind_port("127.0.0.1", 0, "MALL_OPS_PORT") as ops,
        mock.patch.object(process, "all_tasks", return_value=effects.tasks(options.width)),
        mock.patch.object(process, "Worker", partial(Worker, lease_s=options.lease_s)),
        # These jobs follow although nothing can be sent.
        mock.patch.object(process, "no_jobs", events.jobs_of),
        mock.patch.dict(events.FOLLOWING, {"order.created": ("follow",)}, clear=True),
        open_logs("json", "info", instance=settings.instance, merges=True),
    ):
        assert settings.database_url is not None
        return asyncio.run(
            process.work(settings, settings.database_url, ops, ready=options.ready, lifeline=None)
        )


if __name__ == "__main__":
    sys.exit(main())
