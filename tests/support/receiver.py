"""A receiver of webhooks on a real socket: it does as the test says, and verifies with an independent library."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.waiting import Arrivals

Answers = Callable[[web.Request, int], Awaitable[web.StreamResponse]]
# Each receiver has an address of its own, because a host gets few requests at once.
_hosts = itertools.count(2)


@dataclass
class Receiver:
    """What one endpoint got.

    Attributes:
        secrets: with which signatures are verified; without any they are not.
        answer: makes the answer of request number so and so; by default 204.
        got: id, body and whether it was taken, of each request.
        forged: ids with a bad signature.
        arrivals: told of each request, when it has come and when its answer is made.
    """

    url: str = ""
    secrets: list[str] = field(default_factory=list)
    answer: Answers | None = None
    got: list[tuple[str, bytes, bool]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    arrivals: Arrivals = field(default_factory=Arrivals)
    _taken: set[str] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a request."""
        body, number = await request.read(), len(self.got)
        name = request.headers.get("webhook-id", "")
        self.headers.append(dict(request.headers))
        self._verify(name, body, dict(request.headers))
        self.got.append((name, body, False))
        self.arrivals.tell()
        answer = web.Response(status=204) if self.answer is None else await self.answer(request, number)
        good = 200 <= answer.status <= 299
        self.got[number] = (name, body, good)
        if good:
            self._taken.add(name)
        self.arrivals.tell()
        return answer

    def _verify(self, name: str, body: bytes, headers: dict[str, str]) -> None:
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body.decode(), headers)
            except WebhookVerificationError:
                self.forged.append(name)

    @property
    def taken(self) -> list[str]:
        """Ids of what was answered well, without repetitions."""
        return [*dict.fromkeys(name for name, _, good in self.got if good)]

    @property
    def taken_count(self) -> int:
        """How many these are."""
        return len(self._taken)

    @property
    def ids(self) -> list[str]:
        """Ids of all requests."""
        return [name for name, _, _ in self.got]


def always(status: int, **headers: str) -> Answers:
    """The same answer every time."""

    async def answer(request: web.Request, number: int) -> web.StreamResponse:
        del request, number
        return web.Response(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def hang(request: web.Request, number: int) -> web.StreamResponse:
    """Never answer."""
    del request, number
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def receiving(
    answer: Answers | None = None, *, host: str | None = None, arrivals: Arrivals | None = None
) -> AsyncIterator[Receiver]:
    """A receiver at a free port of an address of its own; several may share `arrivals`."""
    host = host or f"127.0.0.{next(_hosts) % 250 + 2}"
    receiver = Receiver(answer=answer, arrivals=arrivals or Arrivals())
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        receiver.url = f"http://{host}:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()
