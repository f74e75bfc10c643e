"""Profiles, preferences, stores' contacts, and what the sandbox keeps."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest

from dispatch.errors import NoSuchUser
from dispatch.notices.preferences import Contacts
from dispatch.notices.sandbox import SandboxMail, SandboxMessages, SandboxSms
from tests.integration.notices.notice_world import CUSTOMER, DRIVER, NoticeWorld


async def test_profile_changes_what_is_given_and_nothing_else(world: NoticeWorld) -> None:
    contacts = Contacts(world.database)
    quiet = {"quiet_hours": (time(22), time(7))}
    changed = await contacts.change_profile(CUSTOMER, {"locale": "en", **quiet})
    assert (changed["locale"], changed["phone"]) == ("en", "+4930111111")
    assert (changed["quiet_from"], changed["quiet_to"]) == (time(22), time(7))
    changed = await contacts.change_profile(CUSTOMER, {"phone": None, "time_zone": "Asia/Tokyo"})
    assert (changed["phone"], changed["time_zone"], changed["quiet_to"]) == (None, "Asia/Tokyo", time(7))
    changed = await contacts.change_profile(CUSTOMER, {"quiet_hours": None})
    assert (changed["quiet_from"], changed["locale"]) == (None, "en")


@pytest.mark.parametrize(
    "change", ["phone = '030 1'", "time_zone = 'Nowhere'", "locale = 'xx'", "quiet_from = '22:00'"]
)
async def test_database_refuses_what_cannot_be(world: NoticeWorld, change: str) -> None:
    with pytest.raises(Exception, match=r"users_|time zone"):
        await world.owner.execute(f"UPDATE users SET {change} WHERE id = 2")


async def test_nobody_has_no_profile(world: NoticeWorld) -> None:
    contacts = Contacts(world.database)
    await world.owner.fetchval("SELECT anonymise_user(2)")
    for number in (CUSTOMER, 999):
        with pytest.raises(NoSuchUser):
            await contacts.change_profile(number, {"locale": "de"})
        with pytest.raises(NoSuchUser):
            await contacts.choose(number, [])


async def test_deleted_account_has_no_way_to_be_reached(world: NoticeWorld) -> None:
    contacts, messages = Contacts(world.database), SandboxMessages(world.database)
    await contacts.choose(CUSTOMER, [("assigned", "sms", False)])
    await messages.keep("mail", "k1", "Zoe@mall.example", "x")
    await messages.keep("sms", "k2", "+4930111111", "x")
    await world.owner.fetchval("SELECT anonymise_user(2)")
    row = await world.owner.fetchrow("SELECT phone, locale, time_zone, quiet_from FROM users WHERE id = 2")
    assert tuple(row) == (None, "en", "UTC", None)
    assert await world.owner.fetchval("SELECT count(*) FROM notice_preferences") == 0
    assert await messages.newest() == []


async def test_choices_are_those_of_the_role_and_replaced_as_a_whole(world: NoticeWorld) -> None:
    contacts = Contacts(world.database)

    async def shown(number: int = CUSTOMER) -> dict[tuple[str, str], bool]:
        return {(c.type, c.channel): c.wanted for c in await contacts.choices(number)}

    usual = await shown()
    assert usual["assigned", "sms"]
    assert not usual["delivered", "sms"]
    await contacts.choose(CUSTOMER, [("assigned", "sms", False), ("delivered", "sms", True)])
    assert (await shown())["assigned", "sms"] is False
    assert (await shown())["delivered", "sms"] is True
    await contacts.choose(CUSTOMER, [])
    assert await shown() == usual
    assert ("driver_digest", "mail") in await shown(DRIVER)
    assert ("driver_digest", "sms") not in await shown(DRIVER)


async def test_store_has_a_contact(world: NoticeWorld) -> None:
    contacts = Contacts(world.database)
    await contacts.set_store_contact(2, "cafe@mall.example", "+4930123456", "de")
    row: Any = await contacts.store_contact(2)
    assert (row["contact_email"], row["locale"]) == ("cafe@mall.example", "de")
    assert await contacts.set_store_contact(99, None, None, "en") is None


async def test_sandbox_keeps_the_newest_two_hundred_and_each_key_once(world: NoticeWorld) -> None:
    messages = SandboxMessages(world.database)
    mail, sms = SandboxMail(messages), SandboxSms(messages)
    for number in range(205):
        await sms.send(f"n-{number}", "+4930111111", str(number))
    for _ in range(2):
        await mail.send("n-1", "zoe@mall.example", "S", "T", "<p>T</p>", {"X-Trace-Id": "t"})
    kept = await messages.newest()
    assert len(kept) == 200
    assert (kept[0]["channel"], kept[0]["subject"], kept[0]["headers"]) == ("mail", "S", {"X-Trace-Id": "t"})
    assert kept[-1]["body"] == "6"
    found = await messages.message(kept[0]["id"])
    assert found["html"] == "<p>T</p>"
    assert await messages.message(1) is None
