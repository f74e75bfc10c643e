"""Client of a payment provider over HTTP (PROTOCOL.md). An answer outside of the protocol counts as unknown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import aiohttp
import structlog
from pydantic import BaseModel, Field, ValidationError

from actors.clock import Randomness
from actors.tracing import traceparent
from dispatch.domain.money import Money
from dispatch.payments import Declined, GatewayLater, GatewayRefused, GatewayUnsure, Held

log = structlog.get_logger()

# A customer waits for the hold. A slower one is settled in the background.
TIMEOUT_S = 4.0
CONNECT_S = 1.0
# Real answers have some hundred bytes.
ANSWER_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 32

Code = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


class _Hold(BaseModel):
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{4,128}$")]
    status: Literal["held"]


class _Decline(BaseModel):
    code: Code


class _Done(BaseModel):
    status: Literal["captured", "voided", "refunded"]


# Certainly nothing was done, and the request is not at fault: wrong secret, rate limit, or outage.
_LATER = frozenset({401, 403, 429, 503})


class HttpGateway:
    """Implements dispatch.payments.Gateway over HTTP. Open it with `open_gateway`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, entropy: Randomness) -> None:
        self._session = session
        self._entropy = entropy
        self._url = url.rstrip("/")

    async def hold(self, key: str, amount: Money, token: str, *, trace: str = "") -> Held | Declined:
        """Hold an amount; see dispatch.payments.Gateway."""
        body = {"amount_minor": amount.amount_minor, "currency": amount.currency, "token": token}
        status, answer = await self._post("/holds", key, body, trace)
        try:
            if status == 402:
                return Declined(_Decline.model_validate_json(answer).code)
            if status == 201:
                return Held(_Hold.model_validate_json(answer).id)
        except ValidationError as error:
            raise GatewayUnsure("not an answer") from error
        raise _failure(status, answer)

    async def cancel(self, key: str, *, trace: str = "") -> None:
        """Make sure that nothing is held under this key; see dispatch.payments.Gateway."""
        await self._finish(f"{key}-cancel", "/holds/cancellation", {"key": key}, "voided", trace)

    async def capture(self, key: str, ref: str, amount: Money | None = None, *, trace: str = "") -> None:
        """Capture the held money, or this much of it."""
        body: dict[str, object] = {}
        if amount is not None:
            body = {"amount_minor": amount.amount_minor, "currency": amount.currency}
        await self._finish(key, f"/holds/{ref}/capture", body, "captured", trace)

    async def void(self, key: str, ref: str, *, trace: str = "") -> None:
        """Release the held money."""
        await self._finish(key, f"/holds/{ref}/void", {}, "voided", trace)

    async def refund(self, key: str, ref: str, amount: Money, *, trace: str = "") -> None:
        """Refund this much of the captured money."""
        body = {"amount_minor": amount.amount_minor, "currency": amount.currency}
        await self._finish(key, f"/holds/{ref}/refund", body, "refunded", trace)

    async def _finish(self, key: str, path: str, body: dict[str, object], expected: str, trace: str) -> None:
        status, answer = await self._post(path, key, body, trace)
        try:
            if status == 200 and _Done.model_validate_json(answer).status == expected:
                return
        except ValidationError as error:
            raise GatewayUnsure("not an answer") from error
        raise _failure(status, answer)

    async def _post(self, path: str, key: str, body: dict[str, object], trace: str) -> tuple[int, bytes]:
        """Send a request; returns status and body of the answer.

        Raises:
            GatewayLater: no connection, so the gateway has not received the request.
            GatewayUnsure: no answer in time, or one that is too large.
        """
        headers = {"Idempotency-Key": key}
        if trace:
            headers["traceparent"] = traceparent(trace, self._entropy.trace)
        try:
            async with self._session.post(
                self._url + path, json=body, headers=headers, allow_redirects=False
            ) as answer:
                # Read to the end, or until it exceeds the size of an answer.
                data = b""
                while len(data) <= ANSWER_BYTES_MAX:
                    chunk = await answer.content.read(ANSWER_BYTES_MAX + 1 - len(data))
                    if not chunk:
                        return answer.status, data
                    data += chunk
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise GatewayLater(type(error).__name__) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise GatewayUnsure(type(error).__name__) from error
        raise GatewayUnsure("too large an answer")


def _failure(status: int, answer: bytes) -> Exception:
    """The error for an unsuccessful answer: refused for good, later, or unknown."""
    if status in _LATER:
        if status in (401, 403):
            log.warning("gateway_does_not_know_us", status=status, setting="MALL_GATEWAY_KEY")
        return GatewayLater(f"status {status}")
    if 400 <= status < 500 and status != 408:
        try:
            return GatewayRefused(_Decline.model_validate_json(answer).code)
        except ValidationError:
            return GatewayRefused(f"http_{status}")
    return GatewayUnsure(f"status {status}")


@asynccontextmanager
async def open_gateway(url: str, secret: str, entropy: Randomness) -> AsyncIterator[HttpGateway]:
    """Open the client of a provider at this address; `secret` authenticates us."""
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_S),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    async with session:
        yield HttpGateway(session, url, entropy)
