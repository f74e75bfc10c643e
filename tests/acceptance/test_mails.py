"""Mails of a real server with its worker: through a real SMTP server, and in the sandbox of the embedded mode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import open_server
from tests.acceptance.sample_mall import ORDER, PEOPLE, fresh_key
from tests.support.mail_server import MailServer
from tests.support.waiting import seconds_until

LIMIT_S = 40.0
AWAY_S, ORDERS_AWAY = 60.0, 20
# The pause after the sixth try is up to 96 s long.
RETRIED_S = 150.0


class MallWithMails:
    """A server with a worker, its sample customer, and its ops port."""

    def __init__(self, mall: Mall, ops_url: str) -> None:
        self.mall = mall
        self.ops_url = ops_url

    async def order(self) -> tuple[str, str]:
        """A new order of the sample customer, and the trace id of its request."""
        status, body, headers = await self.mall.call("POST", "/api/v2/orders", ORDER, key=fresh_key())
        assert status == 201, body
        return str(body["id"]), headers["X-Trace-ID"]

    async def kept(self, many: int) -> list[dict[str, Any]]:
        """What the sandbox shows, once there are so many."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                async with self.mall.http.get(f"{self.ops_url}/mails") as response:
                    found = list((await response.json())["messages"])
                if len(found) >= many:
                    return found


@asynccontextmanager
async def running(folder: Path, *arguments: str, **environ: str) -> AsyncIterator[MallWithMails]:
    settings = {"MALL_WORK": "on", "MALL_PUBLIC_URL": "https://shop.mall.example", **environ}
    async with open_server(folder, settings, arguments) as process, open_http() as http:
        login = dict(zip(("email", "password"), PEOPLE["customer"], strict=True))
        mall = Mall(http, process.url)
        token = (await mall.do("POST", "/api/v2/auth/login", login))["access_token"]
        yield MallWithMails(mall.as_(token), process.ops_url)


@pytest.fixture
async def smtp() -> AsyncIterator[MailServer]:
    it = MailServer()
    await it.start()
    yield it
    await it.stop()


async def test_customer_gets_a_mail_with_the_trace_of_the_request(
    short_tmp_path: Path, smtp: MailServer
) -> None:
    environ = {"MALL_SMTP_URL": smtp.url, "MALL_MAIL_FROM": "Mäll <no-reply@mall.example>"}
    async with running(short_tmp_path / "mails", **environ) as server:
        profile = {"locale": "de", "time_zone": "Europe/Berlin"}
        await server.mall.do("PATCH", "/api/v2/me/profile", profile)
        order, trace = await server.order()
        await smtp.arrivals.until(lambda: smtp.mails, LIMIT_S)
        await server.mall.do("POST", f"/api/v2/orders/{order}/cancellation")
        await smtp.arrivals.until(lambda: len(smtp.mails) == 2, LIMIT_S)
        assert await server.kept(0) == [], "what was sent is not kept"
    confirmed, cancelled = smtp.mails
    assert confirmed["To"] == PEOPLE["customer"][0]
    assert confirmed["X-Trace-Id"] == trace
    assert confirmed["Subject"] == f"Deine Bestellung {order} ist bestätigt"
    assert confirmed["From"] == "Mäll <no-reply@mall.example>"
    text = confirmed.get_body(("plain",))
    assert text is not None
    assert f"https://shop.mall.example/orders/{order}" in text.get_content()
    assert cancelled["Subject"] == f"Deine Bestellung {order} wurde storniert"
    assert len(set(smtp.ids())) == 2


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_all_mails_arrive_after_the_server_was_away_for_a_minute_and_none_twice(
    short_tmp_path: Path, smtp: MailServer
) -> None:
    """A real minute; tests/integration/notices/test_mail_outage.py has one that is skipped through."""
    environ = {"MALL_SMTP_URL": smtp.url, "MALL_MAIL_FROM": "no-reply@mall.example"}
    traces: dict[str, str] = {}
    place = short_tmp_path / "away"
    async with running(place, **environ) as server:
        traces.update([await server.order() for _ in range(4)])
        await smtp.arrivals.until(lambda: len(smtp.mails) == 4, LIMIT_S)
        await smtp.stop()
        for _ in range(ORDERS_AWAY):
            traces.update([await server.order()])
            # The minute is the scenario: orders come all the time while the server is away.
            await asyncio.sleep(AWAY_S / ORDERS_AWAY)
        assert len(smtp.mails) == 4
        await smtp.start()
        traces.update([await server.order() for _ in range(4)])
        await smtp.arrivals.until(lambda: len(smtp.mails) >= len(traces), RETRIED_S)
        url = json.loads((place / "addresses.json").read_text())["database_url"]
        owner = await asyncpg.connect(url)

        async def nothing_left() -> bool:
            return not await owner.fetchval("SELECT EXISTS (SELECT FROM jobs WHERE task = 'send_mail')")

        await seconds_until(nothing_left, LIMIT_S)
        tries = await owner.fetch(
            "SELECT count(*) FILTER (WHERE outcome = 'retry') AS failed, count(*) FILTER (WHERE outcome = 'done')"
            " AS done FROM job_runs WHERE task = 'send_mail' GROUP BY id ORDER BY id"
        )
        await owner.close()
    assert sorted(str(mail["X-Trace-Id"]) for mail in smtp.mails) == sorted(traces.values())
    assert len(set(smtp.ids())) == len(smtp.mails) == len(traces)
    assert [row["done"] for row in tries] == [1] * len(traces)
    failed = [row["failed"] for row in tries]
    assert failed[:4] == [0] * 4, "sent before"
    assert all(failed[4 : 4 + ORDERS_AWAY]), "each of these was tried in vain"
    print(
        f"{ORDERS_AWAY} of {len(traces)} orders without a mail server: {len(smtp.mails)} mails, in vain {failed}"
    )


@pytest.mark.parametrize("arguments", [(), ("--instances", "2")], ids=["one", "two"])
async def test_embedded_server_keeps_mails_and_sms_for_its_ops_port(
    short_tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    async with running(short_tmp_path / f"kept{len(arguments)}", *arguments) as server:
        await server.mall.do("PATCH", "/api/v2/me/profile", {"phone": "+4930123456"})
        order, trace = await server.order()
        await server.kept(1)  # or it would be overtaken
        await server.mall.do("POST", f"/api/v2/orders/{order}/cancellation")
        kept = await server.kept(3)
        assert [one["subject"] for one in kept if one["channel"] == "mail"] == [
            f"Your order {order} was cancelled", f"Your order {order} is confirmed",
        ]  # fmt: skip
        mails = [one for one in kept if one["channel"] == "mail"]
        assert mails[-1]["headers"] == {"X-Trace-Id": trace}
        [sms] = [one for one in kept if one["channel"] == "sms"]
        assert (sms["to"], sms["text"]) == ("+4930123456", f"Sample Mall: your order {order} was cancelled.")
        page = f"{server.ops_url}/mails/{mails[0]['id']}"
        async with server.mall.http.get(page) as response:
            assert response.status == 200
            assert "was cancelled" in await response.text()
        async with server.mall.http.get(f"{server.ops_url}/mails", headers={"Accept": "text/html"}) as listed:
            assert "was cancelled" in await listed.text()
