"""A webhook in place of pager and ticket system: what Alertmanager told it, and when."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

RECEIVERS = ("pager", "tickets", "deadman")
FIRING = "firing"
# What tells alerts of one name apart.
_KEYS = ("slo", "burn", "instance", "task", "query", "chore", "holder", "zone", "kind")


@dataclass(frozen=True, slots=True)
class Told:
    """A notification about one alert; `at_s` on the monotonic clock."""

    receiver: str
    alert: str
    key: str
    status: str
    at_s: float


@dataclass(slots=True)
class Pager:
    """What was told so far.

    Attributes:
        port: where it listens.
        told: all notifications in order, repetitions included.
    """

    port: int = 0
    told: list[Told] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """A notification of Alertmanager."""
        body = await request.json()
        for alert in body["alerts"]:
            labels = alert["labels"]
            key = ",".join(labels[name] for name in _KEYS if name in labels)
            self.told.append(
                Told(
                    request.match_info["receiver"],
                    labels["alertname"],
                    key,
                    alert["status"],
                    time.monotonic(),
                )
            )
        return web.Response()

    def first(self, receiver: str, alerts: Iterable[str], since_s: float = 0.0) -> Told | None:
        """The first of these alerts that was told as firing since then."""
        wanted = set(alerts)
        return next(
            (
                told
                for told in self.told
                if told.receiver == receiver
                and told.alert in wanted
                and told.status == FIRING
                and told.at_s >= since_s
            ),
            None,
        )


@asynccontextmanager
async def open_pager() -> AsyncIterator[Pager]:
    """A pager that listens for the length of a block."""
    pager, app = Pager(), web.Application()
    app.router.add_post("/{receiver}", pager.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pager.port = runner.addresses[0][1]
        yield pager
    finally:
        await runner.cleanup()
