"""A small client for tools and tests: REST with keys and retries, and a driver's phone that resumes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from loadtests.kit.feed_position import FeedPosition
from loadtests.kit.protocol import FEED_PATH, PROTOCOL

# Between two tries of a request to a server that is away.
AWAY_PAUSE_S = 0.2


class ApiProblem(Exception):
    """The server has answered with a problem."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(
            f"{status} {problem.get('code')}: {problem.get('detail', '')} {problem.get('errors', '')}"
        )
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code"))


class Mall:
    """REST as one caller. `token` may be empty for what anybody may do."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str = "") -> None:
        self.http = http
        self.url = url
        self.token = token

    def as_(self, token: str) -> Mall:
        """The same server as another caller."""
        return Mall(self.http, self.url, token)

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """One request: status, JSON, headers. Connection errors pass through."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        if method in ("PATCH", "DELETE"):
            headers["If-Match"] = "*"  # whatever it is by now
        data = None
        if body is not None:
            data, headers["Content-Type"] = orjson.dumps(body), "application/json"
        async with self.http.request(method, self.url + path, data=data, headers=headers) as response:
            raw = await response.read()
            return response.status, orjson.loads(raw) if raw else {}, dict(response.headers)

    async def do(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> dict[str, Any]:
        """One request that must succeed.

        Raises:
            Refused: it did not.
        """
        status, answer, _ = await self.call(method, path, body, key=key)
        if status >= 400:
            raise ApiProblem(status, answer)
        return answer

    async def persist(self, method: str, path: str, body: Any = None, *, tries: int = 50) -> dict[str, Any]:
        """One request that may wait for a rate limit or a server that is away, and must succeed in the end.

        Raises:
            ApiProblem: it never will.
            aiohttp.ClientError, OSError, TimeoutError: the server stays away.
        """
        for left in reversed(range(tries)):
            try:
                status, answer, headers = await self.call(method, path, body)
            except (aiohttp.ClientError, OSError, TimeoutError):
                if not left:
                    raise
                await asyncio.sleep(AWAY_PAUSE_S)
                continue
            if status < 400:
                return answer
            if not left or status not in (429, 503):
                raise ApiProblem(status, answer)
            await asyncio.sleep(float(headers.get("Retry-After", AWAY_PAUSE_S)))
        raise AssertionError(tries)

    async def insist(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, tries: int = 60
    ) -> tuple[int, dict[str, Any]]:
        """Repeat a request, with its key, until its outcome is known: through refusals to work now (429,
        503), unknown outcomes (500, 504) and lost connections.
        """
        for _ in range(tries):
            try:
                status, answer, headers = await self.call(method, path, body, key=key)
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            if status in (429, 500, 503, 504) or answer.get("code") == "request_in_flight":
                await asyncio.sleep(min(1.0, float(headers.get("Retry-After", "0.1"))) / 4)
                continue
            return status, answer
        raise TimeoutError(f"{method} {path}: no known outcome after {tries} tries")


class Closed(Exception):
    """The socket is closed."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Phone:
    """A driver's app: keeps its position, resumes, answers pings, and checks what it is sent.

    Attributes:
        position: survives reconnects; its faults must stay empty.
        events: every entry that came, in order.
        board: open orders of an open zone: order id to round id.
    """

    def __init__(self, mall: Mall) -> None:
        self.mall = mall
        self.position = FeedPosition()
        self.events: list[dict[str, Any]] = []
        self.board: dict[str, str] = {}
        self.welcome: dict[str, Any] = {}
        self.on_event: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_snapshot: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_frame: Callable[[dict[str, Any]], None] = lambda _: None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._gone = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Phone]:
        """One connection: hello, welcome, and a reader until the block ends.

        Raises:
            Closed: the server did not welcome us.
            aiohttp.ClientError: it did not even upgrade.
        """
        headers = {"Authorization": f"Bearer {self.mall.token}"}
        async with self.mall.http.ws_connect(
            self.mall.url + FEED_PATH,
            headers=headers,
            protocols=(PROTOCOL,),
            compress=0,
            max_msg_size=0,
        ) as ws:
            self._ws = ws
            hello: dict[str, Any] = {"t": "hello"}
            if (resume := self.position.resume()) is not None:
                hello["resume"] = resume
            await ws.send_str(orjson.dumps(hello).decode())
            await self._receive_welcome(ws)
            self._gone.clear()
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(ws))
                try:
                    yield self
                finally:
                    reader.cancel()
                    for future in self._waiting.values():
                        if not future.done():
                            future.set_exception(Closed(ws.close_code))
                    self._waiting.clear()

    async def _receive_welcome(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        message = await ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Closed(ws.close_code)
        frame = self.welcome = orjson.loads(message.data)
        if frame["t"] != "welcome":
            raise Closed(None)
        self.position.welcome(frame)
        if not frame["resumed"]:
            self.on_snapshot(frame["snapshot"])

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                frame = orjson.loads(message.data)
                if frame["t"] == "ping":
                    await ws.send_str('{"t":"pong"}')
                self._dispatch(frame)
        self._gone.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Closed(ws.close_code))

    def _dispatch(self, frame: dict[str, Any]) -> None:
        self.on_frame(frame)
        match frame["t"]:
            case "event":
                self.position.entry(frame["seq"])
                self.events.append(frame)
                self.on_event(frame)
            case "reply" | "error":
                future = self._waiting.pop(frame.get("id") or 0, None)
                if future is not None and not future.done():
                    future.set_result(frame)
            case "state" if frame["topic"] == "board":
                self.board = {o["order_id"]: o["offer_id"] for o in frame["data"]["orders"]}

    @property
    def close_code(self) -> int | None:
        """Why the server closed the last connection, if it did."""
        return None if self._ws is None else self._ws.close_code

    @property
    def closed(self) -> bool:
        return self._ws is None or self._ws.closed

    async def until_lost(self) -> None:
        """Return when the connection has ended."""
        await self._gone.wait()

    async def send(self, frame: dict[str, Any]) -> None:
        """Send a frame that is not answered."""
        if self._ws is None or self._ws.closed:
            raise Closed(None)
        await self._ws.send_str(orjson.dumps(frame).decode())

    async def ask(self, frame: dict[str, Any], wait_s: float = 5.0) -> dict[str, Any]:
        """Send a command and wait for its reply or error frame.

        Raises:
            Closed: the socket ended first. Repeat with the same key.
            TimeoutError: no answer in time.
        """
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self.send({**frame, "id": number})
            async with asyncio.timeout(wait_s):
                return await future
        finally:
            self._waiting.pop(number, None)


@asynccontextmanager
async def open_http(connections: int = 200) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session for many connections."""
    connector = aiohttp.TCPConnector(limit=connections, limit_per_host=connections)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield http
