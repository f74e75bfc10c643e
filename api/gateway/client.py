"""A payment provider over HTTP. What it says is believed only when it is exactly what it may say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from dispatch.domain.money import Money
from dispatch.payments import Declined, GatewayUnsure, Held

# A customer waits for the hold; what takes longer is settled behind its back.
TIMEOUT_S = 4.0
CONNECT_S = 1.0
# An answer is some hundred bytes.
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


class HttpGateway:
    """Implements dispatch.payments.Gateway. Open it with `open_gateway`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def hold(self, key: str, amount: Money, token: str) -> Held | Declined:
        """Hold an amount; see dispatch.payments.Gateway."""
        body = {"amount_minor": amount.amount_minor, "currency": amount.currency, "token": token}
        status, answer = await self._post("/holds", key, body)
        try:
            if status == 402:
                return Declined(_Decline.model_validate_json(answer).code)
            if status == 201:
                return Held(_Hold.model_validate_json(answer).id)
        except ValidationError as error:
            raise GatewayUnsure("not an answer") from error
        raise GatewayUnsure(f"status {status}")

    async def capture(self, key: str, ref: str) -> None:
        """Take the money that is held."""
        await self._finish(key, ref, "capture", "captured")

    async def void(self, key: str, ref: str) -> None:
        """Let the money go that is held."""
        await self._finish(key, ref, "void", "voided")

    async def refund(self, key: str, ref: str) -> None:
        """Give the money back that was taken."""
        await self._finish(key, ref, "refund", "refunded")

    async def _finish(self, key: str, ref: str, step: str, expected: str) -> None:
        status, answer = await self._post(f"/holds/{ref}/{step}", key, {})
        try:
            if status == 200 and _Done.model_validate_json(answer).status == expected:
                return
        except ValidationError as error:
            raise GatewayUnsure("not an answer") from error
        raise GatewayUnsure(f"status {status}")

    async def _post(self, path: str, key: str, body: dict[str, object]) -> tuple[int, bytes]:
        """The status and the body of an answer.

        Raises:
            GatewayUnsure: none in time, or too large a one.
        """
        try:
            async with self._session.post(
                self._url + path, json=body, headers={"Idempotency-Key": key}, allow_redirects=False
            ) as answer:
                # Read until it ends or there is more than an answer can be.
                data = b""
                while len(data) <= ANSWER_BYTES_MAX:
                    chunk = await answer.content.read(ANSWER_BYTES_MAX + 1 - len(data))
                    if not chunk:
                        return answer.status, data
                    data += chunk
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise GatewayUnsure(type(error).__name__) from error
        raise GatewayUnsure("too large an answer")


@asynccontextmanager
async def open_gateway(url: str, secret: str) -> AsyncIterator[HttpGateway]:
    """A provider at this address; `secret` proves who we are."""
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_S),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    async with session:
        yield HttpGateway(session, url)
