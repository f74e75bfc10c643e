"""Sends messages to receivers over HTTP: signed, guarded and bounded. Implements dispatch.webhooks.ports.Post."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from actors.clock import Clock, Randomness
from actors.tracing import traceparent
from api.outbound.address_guard import AddressGuard, AddressRefused, Network
from api.outbound.endpoint_urls import fault_of
from api.outbound.sealing import SealBroken, Sealing
from api.outbound.signing import signatures
from config.version import VERSION
from dispatch.webhooks.values import Answer, Message

TIMEOUT_S, CONNECT_S = 15.0, 3.0
# Part of the timeout that an answer's body may take: its status is known by then.
BODY_S = 2.0
ANSWER_BYTES_MAX = 16 * 1024
REQUESTS_MAX, REQUESTS_OF_HOST_MAX = 64, 4
# Names are resolved again after this time; a name that is looked up in vain is not kept.
NAME_S = 10.0
NAMES_MAX = 1024
_TRACE = re.compile(r"[0-9a-f]{32}(-[0-9a-f]{16})?")
_TLS_ERRORS = (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError)


class Names(AbstractResolver):
    """Resolver that keeps answers for NAME_S, so that a request goes to the addresses under which it was counted."""

    def __init__(self, inner: AbstractResolver, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._known: dict[tuple[str, int, int], tuple[float, list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of a host.

        Raises:
            OSError: there are none.
        """
        key, now = (host, port, int(family)), self._clock.monotonic()
        kept = self._known.get(key)
        if kept is not None and now - kept[0] < NAME_S:
            return kept[1]
        found = await self._inner.resolve(host, port, family)
        if len(self._known) >= NAMES_MAX:
            self._known.clear()
        self._known[key] = (now, found)
        return found

    async def close(self) -> None:
        """Close the resolver behind it."""
        await self._inner.close()


class HttpSender:
    """Sends one message at a time to each caller; open it with `open_http_sender`.

    Args:
        session: by scheme: connections for `http` are permitted to allowed networks only.
        proxy: through which every request goes; it resolves names and refuses addresses itself.
    """

    def __init__(
        self,
        session: Mapping[str, aiohttp.ClientSession],
        names: Names,
        sealing: Sealing,
        clock: Clock,
        entropy: Randomness,
        allowed: Sequence[Network],
        proxy: str | None,
    ) -> None:
        self._session = session
        self._names = names
        self._sealing = sealing
        self._clock = clock
        self._entropy = entropy
        self._allowed = tuple(allowed)
        self._proxy = proxy
        self._under_way: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._under_way.total()

    async def send(self, message: Message) -> Answer | None:
        """Send a message; see dispatch.webhooks.ports.Post."""
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._send(message)
        except TimeoutError:
            answer = Answer(None, "timeout")
        if answer is None:
            return None
        took_ms = round((self._clock.monotonic() - began) * 1000)
        return Answer(answer.status, answer.error, answer.retry_after_s, took_ms)

    async def _send(self, message: Message) -> Answer | None:
        # The setting may have changed since the endpoint was made.
        if fault_of(message.url, self._allowed) is not None:
            return Answer(None, "url_refused")
        try:
            keys = [self._sealing.open(message.endpoint, sealed) for sealed in message.secrets]
        except SealBroken:
            return Answer(None, "secret_unreadable")
        try:
            url = URL(message.url)
        except ValueError:
            return Answer(None, "url_refused")
        try:
            host = await self._host_of(url)
        except (OSError, ValueError):
            return Answer(None, "unknown_host")
        if self._under_way[host] >= REQUESTS_OF_HOST_MAX or self.in_flight >= REQUESTS_MAX:
            return None
        self._under_way[host] += 1
        try:
            return await self._post(url, message, self._headers(message, keys))
        finally:
            self._under_way[host] -= 1
            if not self._under_way[host]:
                del self._under_way[host]

    async def _host_of(self, url: URL) -> str:
        """What requests are counted by: the first address of the host.

        Raises:
            OSError: it has none.
        """
        assert url.raw_host is not None
        if self._proxy is not None:
            return url.raw_host
        found = await self._names.resolve(url.raw_host, url.port or 443)
        return min(entry["host"] for entry in found)

    async def _post(self, url: URL, message: Message, headers: Mapping[str, str]) -> Answer:
        try:
            return await self._post_once(url, message, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                return Answer(None, _failure(error))
        # The receiver has closed a connection that was kept open, perhaps before it had read the message.
        try:
            return await self._post_once(url, message, headers)
        except aiohttp.ClientError as error:
            return Answer(None, _failure(error))

    async def _post_once(self, url: URL, message: Message, headers: Mapping[str, str]) -> Answer:
        try:
            async with self._session[url.scheme].post(
                url, data=message.body, headers=headers, allow_redirects=False, proxy=self._proxy
            ) as answer:
                with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                    async with asyncio.timeout(BODY_S):
                        await _read(answer.content)
                return Answer(answer.status, retry_after_s=self._retry_after_s(answer.headers))
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Answer(None, _failure(error))

    def _headers(self, message: Message, keys: Sequence[bytes]) -> dict[str, str]:
        timestamp = int(self._clock.wall())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Mall-Delivery-Dispatch/{VERSION}",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(keys, message.id, timestamp, message.body),
        }
        if _TRACE.fullmatch(message.trace):
            headers["traceparent"] = traceparent(message.trace, self._entropy.trace)
        if message.replay:
            headers["webhook-replay"] = "1"
        return headers

    def _retry_after_s(self, headers: Mapping[str, str]) -> float | None:
        """Seconds of a Retry-After, which may be a number or a date; None for anything else."""
        text = headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, IndexError, TypeError):
            return None
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(0.0, at.timestamp() - self._clock.wall())


async def _read(content: aiohttp.StreamReader) -> None:
    """Read an answer to its end, so that its connection can be kept; a longer one is cut off."""
    left = ANSWER_BYTES_MAX
    while left > 0 and (chunk := await content.read(left)):
        left -= len(chunk)


def _failure(error: BaseException) -> str:
    """Code of a request that got no answer. It says no more than the receiver's operator has to know."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return "address_refused"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, _TLS_ERRORS):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "unknown_host"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no_connection"
    return "broken_answer"


@asynccontextmanager
async def open_http_sender(
    sealing: Sealing,
    clock: Clock,
    entropy: Randomness,
    *,
    allowed: Sequence[Network] = (),
    proxy: str | None = None,
    resolver: AbstractResolver | None = None,
    tls: bool = True,
) -> AsyncIterator[HttpSender]:
    """Open the client that sends messages.

    `allowed` are networks that may be reached with http, at any port, and although they are private. Certificates are
    not verified without `tls`: only a test has none that anybody knows.
    """
    names = Names(resolver or aiohttp.ThreadedResolver(), clock)
    async with contextlib.AsyncExitStack() as stack:
        sessions = {}
        for scheme, public in (("https", True), ("http", False)):
            # With a proxy every connection goes to it: an address that the operator has set.
            guard = AddressGuard(allowed, public=public) if proxy is None else None
            connector = aiohttp.TCPConnector(
                limit=REQUESTS_MAX,
                resolver=names,
                use_dns_cache=False,
                socket_factory=guard,
                ssl=tls,
            )
            session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S, connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
            sessions[scheme] = await stack.enter_async_context(session)
        yield HttpSender(sessions, names, sealing, clock, entropy, allowed, proxy)
