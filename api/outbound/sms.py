"""Sender of SMS over HTTP: POST {"to", "text"} with an Idempotency-Key, so a repetition is sent once.

2xx: taken. 401, 403, 429, 503: certainly not, later. Other 4xx, except 408: refused for good. The rest is unknown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import structlog

from dispatch.notices.ports import SendRefused, SendUnavailable, SendUnsure

log = structlog.get_logger()

TIMEOUT_S = 8.0
CONNECT_S = 2.0
CONNECTIONS_MAX = 8
_LATER = frozenset({401, 403, 429, 503})


class HttpSms:
    """Implements dispatch.notices.ports.Sms over HTTP. Open it with `open_http_sms`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def send(self, key: str, to: str, text: str) -> None:
        """Send an SMS; see dispatch.notices.ports.Sms."""
        try:
            async with self._session.post(
                self._url,
                json={"to": to, "text": text},
                headers={"Idempotency-Key": key},
                allow_redirects=False,
            ) as answer:
                status = answer.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise SendUnavailable(type(error).__name__) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise SendUnsure(type(error).__name__) from error
        _check(status)


def _check(status: int) -> None:
    """Return when the SMS was taken.

    Raises:
        SendUnavailable, SendRefused, SendUnsure: it was not, or that is not known.
    """
    if 200 <= status < 300:
        return
    if status in _LATER:
        if status in (401, 403):
            log.warning("sms_sender_does_not_know_us", status=status, setting="MALL_SMS_KEY")
        raise SendUnavailable(f"status {status}")
    if 400 <= status < 500 and status != 408:
        raise SendRefused(f"status {status}")
    raise SendUnsure(f"status {status}")


@asynccontextmanager
async def open_http_sms(url: str, secret: str, timeout_s: float = TIMEOUT_S) -> AsyncIterator[HttpSms]:
    """Open the client of a sender at this address; `secret` authenticates us."""
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_S),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    async with session:
        yield HttpSms(session, url)
