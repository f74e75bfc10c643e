"""Receivers of webhooks in a process of their own: `python -m loadtests.kit.webhook_receivers FILE COUNT HANGING`.

Each has an address of its own, because a sender makes few requests at once to a host. The last `HANGING` of them never
answer. What came is written to a file, and is judged when the measurement is over: nothing is verified meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson
from aiohttp import web

from loadtests.kit.server import ROOT

LINE_S = 20.0
# A receiver refuses what was signed longer ago.
SIGNED_S = 300.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request that a receiver has got.

    Attributes:
        receiver: its number, from 0.
        at_s: when it had all of it, by the machine's clock.
    """

    receiver: int
    at_s: float
    id: str
    timestamp: str
    signatures: str
    body: str

    def is_signed(self, secret: str) -> bool:
        """Whether one of its signatures fits, as the guide for receivers says (api/outbound/WEBHOOKS.md)."""
        if not self.timestamp.isdecimal() or abs(self.at_s - int(self.timestamp)) > SIGNED_S:
            return False
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.id}.{self.timestamp}.{self.body}".encode()
        made = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return any(hmac.compare_digest(made, one) for one in self.signatures.split())


def read_receipts(path: Path) -> Iterator[Receipt]:
    """All requests, in the order in which they came."""
    for line in path.read_bytes().splitlines():
        yield Receipt(**orjson.loads(line))


@asynccontextmanager
async def open_receivers(path: Path, count: int, hanging: int) -> AsyncIterator[list[str]]:
    """The process; the block gets the receivers' addresses. The file is complete after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.kit.webhook_receivers", str(path), str(count), str(hanging),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(LINE_S):
            urls: list[str] = orjson.loads(await process.stdout.readline())
        yield urls
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


# -- the process ------------------------------------------------------------------------------------------


class ReceiverApp:
    """One receiver."""

    def __init__(self, number: int, out: BinaryIO, *, answers: bool) -> None:
        self._number = number
        self._out = out
        self._answers = answers
        self.app = web.Application()
        self.app.router.add_post("/hook", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.text()
        got = {"receiver": self._number, "at_s": time.time(), "body": body}
        for name in ("id", "timestamp", "signature"):
            got["signatures" if name == "signature" else name] = request.headers.get(f"webhook-{name}", "")
        self._out.write(orjson.dumps(got) + b"\n")
        if not self._answers:
            await asyncio.Event().wait()
        return web.Response(status=204)


async def _receive(path: Path, count: int, hanging: int) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    urls = []
    async with AsyncExitStack() as stack:
        out = stack.enter_context(path.open("wb"))
        for number in range(count):
            one = ReceiverApp(number, out, answers=number < count - hanging)
            runner = web.AppRunner(one.app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            host = f"127.0.{number // 250}.{number % 250 + 2}"
            await web.TCPSite(runner, host, 0).start()
            urls.append(f"http://{host}:{runner.addresses[0][1]}/hook")
        print(orjson.dumps(urls).decode(), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_receive(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
