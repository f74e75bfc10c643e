"""How users say where and when they are reached, password resets by mail, and the sandbox on the ops port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import available_timezones

import pytest
from aiohttp.test_utils import TestClient, TestServer

from actors.clock import LoopClock, SystemRandomness
from api.app import make_ops_app
from api.outbound.opening import notice_tasks
from config.settings import load_settings
from dispatch.jobs.stored import StoredJobs
from dispatch.jobs.worker import Worker
from dispatch.notices.sandbox import SandboxMail, SandboxMessages, SandboxSms
from storage.postgres.database import Database
from tests.acceptance.in_process.in_process_server import InProcessServer

PROFILE = "/api/v2/me/profile"
CHOICES = "/api/v2/users/me/notice-preferences"
REQUESTS = "/api/v2/auth/password-reset-requests"
USUAL: dict[str, Any] = {"phone": None, "locale": "en", "time_zone": "UTC", "quiet_hours": None}
NIGHT = {"begin": "22:00", "end": "07:00"}


async def test_profile_is_read_and_changed_and_is_no_part_of_the_account(server: InProcessServer) -> None:
    account = await server.good("customer", "GET", "/api/v2/me")
    old = await server.ask("customer", "GET", "/api/v1/me")
    shown = await server.good("customer", "GET", PROFILE)
    assert {name: shown[name] for name in USUAL} == USUAL
    change = {"phone": "+4930123456", "locale": "de", "time_zone": "Europe/Berlin", "quiet_hours": NIGHT}
    changed = await server.good("customer", "PATCH", PROFILE, change)
    assert {name: changed[name] for name in change} == change
    assert await server.good("customer", "GET", PROFILE) == changed
    assert await server.good("customer", "PATCH", PROFILE, {}) == changed
    without = await server.good("customer", "PATCH", PROFILE, {"phone": None, "quiet_hours": None})
    assert (without["phone"], without["quiet_hours"], without["locale"]) == (None, None, "de")
    assert await server.good("customer", "GET", "/api/v2/me") == account
    assert (await server.ask("customer", "GET", "/api/v1/me")).body == old.body


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"phone": "030 123456"}, "#/phone"),
        ({"phone": "+0123456789"}, "#/phone"),
        ({"locale": "fr"}, "#/locale"),
        ({"locale": None}, "#/locale"),
        ({"time_zone": "Europe/Atlantis"}, "#/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "#/time_zone"),
        ({"quiet_hours": {"begin": "24:00", "end": "07:00"}}, "#/quiet_hours/begin"),
        ({"quiet_hours": {"begin": "22:00"}}, "#/quiet_hours/end"),
        ({"email": "x@mall.example"}, "#/email"),
    ],
)
async def test_profile_that_cannot_be_is_refused_by_its_field(
    server: InProcessServer, change: dict[str, Any], pointer: str
) -> None:
    answer = await server.ask("customer", "PATCH", PROFILE, change)
    assert answer.status == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]


async def test_every_zone_that_is_accepted_can_be_stored(server: InProcessServer) -> None:
    refused = await server.database.fetch(
        "SELECT n FROM unnest($1::text[]) n WHERE n NOT IN (SELECT name FROM pg_timezone_names)",
        sorted(available_timezones()),
    )
    for row in refused:
        answer = await server.ask("customer", "PATCH", PROFILE, {"time_zone": row["n"]})
        assert answer.status in (200, 422), row["n"]


async def test_admin_changes_how_a_user_is_reached(server: InProcessServer) -> None:
    me = await server.good("customer", "GET", "/api/v2/me")
    path = f"/api/v2/users/{me['id']}/profile"
    changed = await server.good("admin", "PATCH", path, {"locale": "de"})
    assert changed["locale"] == (await server.good("admin", "GET", path))["locale"] == "de"
    assert (await server.ask("admin", "GET", "/api/v2/users/usr_999999/profile")).status == 404
    assert (await server.ask("customer", "GET", path)).status == 403


async def test_user_chooses_among_the_notices_of_the_role(server: InProcessServer) -> None:
    choices = (await server.good("customer", "GET", CHOICES))["choices"]
    assert {"type": "assigned", "channel": "sms", "wanted": True, "usual": True} in choices
    assert not [one for one in choices if one["type"].startswith(("driver_", "password"))]
    body = {"choices": [{"type": "assigned", "channel": "sms", "wanted": False}]}
    changed = (await server.good("customer", "PUT", CHOICES, body))["choices"]
    assert {"type": "assigned", "channel": "sms", "wanted": False, "usual": True} in changed
    me = await server.good("customer", "GET", "/api/v2/me")
    path = f"/api/v2/users/{me['id']}/notice-preferences"
    assert (await server.good("admin", "GET", path))["choices"] == changed
    assert (await server.good("admin", "PUT", path, {"choices": []}))["choices"] == choices


@pytest.mark.parametrize("type_", ["password_reset", "driver_digest", "nothing"])
async def test_choice_that_the_user_has_not_is_refused(server: InProcessServer, type_: str) -> None:
    good = {"type": "assigned", "channel": "sms", "wanted": False}
    answer = await server.ask("customer", "PUT", CHOICES, {"choices": [good, good | {"type": type_}]})
    assert answer.status == 422
    assert [(f["pointer"], f["code"]) for f in answer.json["errors"]] == [("#/choices/1", "unknown")]
    answer = await server.ask("customer", "PUT", CHOICES, {"choices": [good, good]})
    assert [(f["pointer"], f["code"]) for f in answer.json["errors"]] == [("#/choices/1", "repeated")]


async def test_store_has_a_contact_that_customers_do_not_see(server: InProcessServer) -> None:
    zone, _ = await server.zone()
    store = await server.good(
        "admin", "POST", "/api/v2/stores", {"zone_id": zone, "name": "S", "lat": 1.0, "lon": 2.0}
    )
    path = f"/api/v2/stores/{store['id']}/contact"
    contact = {"email": "shop@mall.example", "phone": None, "locale": "de"}
    assert await server.good("admin", "PUT", path, contact) == {"store_id": store["id"], **contact}
    assert (await server.good("admin", "GET", path))["email"] == "shop@mall.example"
    assert (await server.ask("customer", "GET", path)).status == 403
    assert "shop@" not in str(await server.good("customer", "GET", f"/api/v2/stores/{store['id']}"))


# -- password resets --------------------------------------------------------------------------------------


@asynccontextmanager
async def working(server: InProcessServer) -> AsyncIterator[None]:
    """A worker in this process, with the sandbox."""
    database: Database = server.services.database
    messages, clock = SandboxMessages(database), LoopClock(asyncio.get_running_loop())
    settings = load_settings({"MALL_PUBLIC_URL": "https://shop.mall.example/"})
    mail, sms = SandboxMail(messages), SandboxSms(messages)
    tasks, _ = notice_tasks(settings, database, clock, SystemRandomness(), mail, sms)
    worker = Worker(StoredJobs(database), tasks, clock, SystemRandomness(), name="w", life="1")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        worker.due.set()
        try:
            yield
        finally:
            stop.set()


async def test_forgotten_password_is_replaced_by_a_link_from_a_mail(server: InProcessServer) -> None:
    person = {"email": "forgets@mall.example", "password": "long enough", "name": "F"}
    server.address = "127.0.1.250"
    await server.good("", "POST", "/api/v2/auth/register", person)
    answers = [
        await server.ask("", "POST", REQUESTS, {"email": email})
        for email in ("Forgets@mall.example", "nobody@mall.example")
    ]
    assert [(a.status, a.body) for a in answers] == [(202, b"")] * 2
    names = [{n.lower() for n in a.headers} for a in answers]
    assert names[0] == names[1]
    async with working(server):
        while not (kept := await server.services.sandbox.newest()):
            pass
    [mail] = [row for row in kept if row["recipient"].endswith("@mall.example")]
    assert mail["recipient"] == "forgets@mall.example"
    assert mail["headers"]["X-Trace-Id"]
    token = mail["body"].partition("password-reset#")[2].split()[0]
    body = {"token": token, "new_password": "another long one"}
    assert (await server.ask("", "POST", "/api/v2/auth/password-reset", body)).status == 204
    await server.enter("forgetful", "forgets@mall.example", "another long one")
    assert (await server.ask("", "POST", "/api/v2/auth/password-reset", body)).status == 401


# -- the ops port -----------------------------------------------------------------------------------------


async def test_ops_port_shows_what_the_sandbox_kept(server: InProcessServer) -> None:
    messages = server.services.sandbox
    html = "<!doctype html><style>p { color: red; }</style><p>Grüße</p>"
    await messages.keep(
        "mail", "m-1", "zoe@mall.example", "<b>text</b>", subject="<script>1</script>", html=html,
        headers={"X-Trace-Id": "t"},
    )  # fmt: skip
    await messages.keep("sms", "s-1", "+4930123456", "An SMS")
    async with TestClient(TestServer(make_ops_app(server.services))) as client:
        listed = (await (await client.get("/mails")).json())["messages"]
        assert [one["channel"] for one in listed[:2]] == ["sms", "mail"]
        assert (listed[1]["subject"], listed[1]["text"]) == ("<script>1</script>", "<b>text</b>")
        page = await client.get("/mails", headers={"Accept": "text/html"})
        text = await page.text()
        assert page.content_type == "text/html"
        assert "<script" not in text
        assert "&lt;b&gt;text&lt;/b&gt;" in text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        mail = await client.get(f"/mails/{listed[1]['id']}")
        assert await mail.text() == html
        assert "sandbox" in mail.headers["Content-Security-Policy"]
        for path in (f"/mails/{listed[0]['id']}", "/mails/99999999"):
            assert (await client.get(path)).status == 404
