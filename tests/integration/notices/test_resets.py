"""Password resets by mail: only an open account gets a link, and asking looks the same for all."""

from __future__ import annotations

import re

from actors.clock import SystemRandomness
from dispatch.accounts import Accounts
from dispatch.notices.ports import SendUnsure
from dispatch.notices.resets import ResetRequests
from tests.integration.notices.notice_world import TRACE, NoticeWorld
from tests.integration.services.world import CutOff

LINK = re.compile(r"https://shop\.mall\.example/password-reset#(rst_[0-9a-f]{64})")


async def asked(world: NoticeWorld, email: str) -> list[str]:
    await ResetRequests(world.database).add(email, TRACE)
    return await world.work()


def token_of(world: NoticeWorld) -> str:
    found = LINK.search(world.mail.mails[-1]["text"])
    assert found is not None
    return found[1]


async def test_link_sets_a_password_once(world: NoticeWorld) -> None:
    assert await asked(world, "ZOE@mall.example") == ["send_password_reset done"]
    [mail] = world.mail.mails
    assert (mail["to"], mail["subject"]) == ("Zoe@mall.example", "Neues Passwort wählen")
    assert mail["headers"] == {"X-Trace-Id": TRACE}
    accounts = Accounts(world.database, SystemRandomness(), CutOff())
    await accounts.use_reset_token(token_of(world), "another hash")
    assert await world.owner.fetchval("SELECT password_hash FROM users WHERE id = 2") == "another hash"


async def test_database_has_no_link(world: NoticeWorld) -> None:
    await asked(world, "zoe@mall.example")
    token = token_of(world).removeprefix("rst_")
    for table in ("jobs", "job_runs", "notices", "password_reset"):
        stored = await world.owner.fetchval(f"SELECT string_agg(t::text, '') FROM {table} t")
        assert token not in (stored or "")


async def test_request_for_nobody_is_the_same_job_and_no_mail(world: NoticeWorld) -> None:
    await ResetRequests(world.database).add("nobody@mall.example", TRACE)
    await ResetRequests(world.database).add("zoe@mall.example", TRACE)
    rows = await world.owner.fetch("SELECT task, trace, payload FROM jobs")
    assert len({(row["task"], row["trace"]) for row in rows}) == 1
    await world.work()
    assert [mail["to"] for mail in world.mail.mails] == ["Zoe@mall.example"]


async def test_account_that_is_banned_gets_none(world: NoticeWorld) -> None:
    await world.owner.execute("UPDATE users SET status = 'banned' WHERE id = 2")
    assert await asked(world, "zoe@mall.example") == ["send_password_reset done"]
    assert world.mail.mails == []


async def test_second_request_within_five_minutes_neither_mails_nor_voids_the_link(
    world: NoticeWorld,
) -> None:
    await asked(world, "zoe@mall.example")
    await asked(world, "zoe@mall.example")
    assert len(world.mail.mails) == 1
    accounts = Accounts(world.database, SystemRandomness(), CutOff())
    await accounts.check_reset_token(token_of(world))
    await world.owner.execute("UPDATE password_reset SET expires_at = expires_at - interval '6 minutes'")
    await asked(world, "zoe@mall.example")
    assert len(world.mail.mails) == 2


async def test_try_after_an_unknown_outcome_is_another_mail_with_the_link_that_works(
    world: NoticeWorld,
) -> None:
    world.mail.failures = [SendUnsure("deadline")]
    assert await asked(world, "zoe@mall.example") == ["send_password_reset retry"]
    await world.later()
    assert await world.work() == ["send_password_reset done"]
    [mail] = world.mail.mails
    assert mail["key"].endswith("-2")
    await Accounts(world.database, SystemRandomness(), CutOff()).check_reset_token(token_of(world))
