"""Which notices an event adds, and what becomes of each when its job runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from typing import Any

import pytest

from dispatch.jobs.policy import JobOutcome
from dispatch.jobs.tasks import Retries
from dispatch.notices.ports import SendRefused, SendUnavailable, SendUnsure
from dispatch.notices.preferences import Contacts
from tests.integration.notices.notice_world import (
    CUSTOMER,
    DRIVER,
    OTHER_DRIVER,
    TRACE,
    NoticeWorld,
)

ASSIGNED: dict[str, Any] = {"driver_id": "drv_3"}


async def assigned(world: NoticeWorld) -> None:
    await world.order("assigned", DRIVER)
    await world.event(1, "created", "customer")
    await world.event(2, "assigned", **ASSIGNED)


async def test_customer_hears_by_mail_and_sms_in_the_own_language(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    await world.work()
    assert world.mail.subjects() == [("Zoe@mall.example", "Max bringt deine Bestellung ord_17")]
    assert world.mail.mails[0]["headers"] == {"X-Trace-Id": TRACE}
    assert [sms["to"] for sms in world.sms.texts] == ["+4930111111"]
    assert {row[3] for row in await world.notices()} == {"sent"}


async def test_event_that_is_worked_at_twice_is_one_notice(world: NoticeWorld) -> None:
    await assigned(world)
    for _ in range(2):
        await world.news("notify_order", "order.assigned", 2)
    await world.work()
    await world.news("notify_order", "order.assigned", 2)
    await world.work()
    assert len(world.mail.mails) == len(world.sms.texts) == 1
    assert await world.owner.fetchval("SELECT count(*) FROM notices") == 2


async def test_job_that_is_repeated_after_its_notice_was_sent_sends_nothing(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    await world.work()
    number = await world.owner.fetchval("SELECT id FROM notices WHERE channel = 'mail'")
    await world.add("send_mail", notice=number)
    assert await world.work() == ["send_mail done"]
    assert len(world.mail.mails) == 1


async def test_notice_and_its_job_are_one_commit(world: NoticeWorld) -> None:
    await assigned(world)
    await world.owner.execute("ALTER TABLE jobs ADD CONSTRAINT no_sms CHECK (task <> 'send_sms')")
    await world.news("notify_order", "order.assigned", 2)
    assert await world.work() == ["notify_order retry"]
    assert await world.notices() == []
    await world.owner.execute("ALTER TABLE jobs DROP CONSTRAINT no_sms")
    await world.later()
    await world.work()
    rows = await world.owner.fetch(
        "SELECT n.job_id, r.task FROM notices n JOIN job_runs r ON r.id = n.job_id"
    )
    assert {row["task"] for row in rows} == {"send_mail", "send_sms"}


async def test_person_gets_news_of_an_order_in_turn(world: NoticeWorld) -> None:
    await world.order("cancelled")
    await world.event(1, "created", "customer")
    await world.event(2, "cancelled", "admin")
    await world.news("notify_order", "order.undeliverable", 1)
    await world.news("notify_order", "order.cancelled", 2)
    world.mail.failures = [SendUnavailable("away")]
    await world.work()
    assert world.mail.mails == [], "the second waits for the first"
    await world.later()
    await world.work()
    assert [subject for _, subject in world.mail.subjects()] == [
        "Deine Bestellung ord_17 konnte nicht zugestellt werden",
        "Deine Bestellung ord_17 wurde storniert",
    ]


async def test_news_that_is_overtaken_is_dropped(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    world.mail.failures, world.sms.failures = [SendUnavailable("away")], [SendUnavailable("away")]
    await world.work()
    await world.set_order("delivered", DRIVER)
    await world.later()
    await world.work()
    assert world.mail.mails == world.sms.texts == []
    assert {row[3:] for row in await world.notices()} == {("dropped", "superseded")}


async def test_driver_who_has_lost_the_order_is_not_announced(world: NoticeWorld) -> None:
    await assigned(world)
    await world.event(3, "handed_over", "admin", driver_id="drv_4", **{"from": "drv_3"})
    await world.set_order("assigned", OTHER_DRIVER)
    await world.news("notify_order", "order.assigned", 2)
    await world.news("notify_order", "order.reassigned", 3)
    await world.work()
    assert [subject for _, subject in world.mail.subjects()] == ["Eva bringt deine Bestellung ord_17"]


async def test_what_the_user_does_not_want_is_not_added_and_not_sent(world: NoticeWorld) -> None:
    await assigned(world)
    contacts = Contacts(world.database)
    await contacts.choose(CUSTOMER, [("assigned", "sms", False)])
    await world.news("notify_order", "order.assigned", 2)
    world.mail.failures = [SendUnavailable("away")]
    await world.work()
    assert [row[:3] for row in await world.notices()] == [(CUSTOMER, "mail", "assigned")]
    await contacts.choose(CUSTOMER, [("assigned", "mail", False)])
    await world.later()
    await world.work()
    assert (await world.notices())[0][3:] == ("dropped", "not_wanted")
    assert world.mail.mails == []


async def test_account_that_was_deleted_meanwhile_gets_nothing(world: NoticeWorld) -> None:
    await world.order("cancelled")
    await world.event(1, "cancelled", "admin")
    await world.news("notify_order", "order.cancelled", 1)
    world.mail.failures, world.sms.failures = [SendUnsure("?")], [SendUnsure("?")]
    await world.work()
    await world.owner.fetchval("SELECT anonymise_user(2)")
    await world.later()
    await world.work()
    assert world.mail.mails == world.sms.texts == []
    assert {row[4] for row in await world.notices()} == {"account_closed"}


async def test_without_a_sender_there_are_no_notices(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    assert await world.work(world.tasks(available=())) == ["notify_order done"]
    assert await world.notices() == []


# -- failures ---------------------------------------------------------------------------------------------


async def test_address_that_is_refused_is_a_dead_letter_at_once(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    world.mail.failures = [SendRefused("550 no such user")]
    assert "send_mail dead" in await world.work()
    assert (CUSTOMER, "mail", "assigned", "dead", "refused: 550 no such user") in await world.notices()


async def test_repetition_after_an_unknown_outcome_has_the_same_identity(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    keys: list[str] = []

    class Unsure:
        async def send(self, key: str, *_: Any) -> None:
            keys.append(key)
            if len(keys) == 1:
                raise SendUnsure("deadline")

    await world.work(world.tasks(Unsure()))
    await world.later()
    await world.work(world.tasks(Unsure()))
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_last_failure_leaves_the_notice_dead_and_a_person_can_bring_it_back(world: NoticeWorld) -> None:
    await assigned(world)
    tasks = world.tasks(retries=Retries(failures_max=2, first_s=0.0))
    await world.news("notify_order", "order.assigned", 2)
    world.mail.failures = [SendUnavailable("away"), SendUnavailable("still away")]
    await world.work(tasks)
    assert (CUSTOMER, "mail", "assigned", "dead", "SendUnavailable: still away") in await world.notices()
    await world.owner.execute("UPDATE jobs SET due_at = now() WHERE due_at IS NULL")
    await world.work(tasks)
    assert len(world.mail.mails) == 1
    assert {row[3] for row in await world.notices()} == {"sent"}


async def test_notice_whose_job_ends_its_workers_is_dead_in_the_same_commit(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    tasks = {task.name: task for task in world.tasks()}
    await world.work([tasks["notify_order"]])
    for life in range(4):
        claimed = await world.store.claim(f"t/{life}", {"send_mail": 1}, 30.0, alone=life == 2)
        assert len(claimed.jobs) == (life < 3)
        await world.later()
    why = "Its worker ended while it was done, three times."
    assert (CUSTOMER, "mail", "assigned", "dead", why) in await world.notices()
    await world.owner.execute("UPDATE jobs SET due_at = now(), deaths = 0 WHERE due_at IS NULL")
    await world.work()
    assert {row[3] for row in await world.notices()} == {"sent"}, "a person can bring it back"


async def test_job_that_names_no_notice_of_its_own_dies_and_settles_none(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    await world.work([task for task in world.tasks() if task.name == "notify_order"])
    wanted = await world.notices()
    number = await world.owner.fetchval("SELECT id FROM notices WHERE channel = 'sms'")
    for named in ("one", 10**18, number):
        await world.add("send_mail", notice=named)
    claimed = await world.store.claim("t/1", {"send_mail": 4}, 30.0, alone=False)
    dead = [JobOutcome("dead", error="no").item(job, 0.0) for job in claimed.jobs[1:]]
    assert len(await world.store.finish("t/1", dead)) == 3
    assert await world.notices() == wanted


# -- stores, drivers, operators ---------------------------------------------------------------------------


async def test_store_hears_what_it_has_to_prepare_and_one_without_contact_does_not(
    world: NoticeWorld,
) -> None:
    await world.order()
    await world.event(1, "created", "customer")
    await world.news("notify_order", "order.confirmed", 1)
    await world.work()
    [mail] = [mail for mail in world.mail.mails if mail["to"] == "bakery@mall.example"]
    assert mail["to"] == "bakery@mall.example"
    assert "Nr. 4" in mail["subject"]
    assert "2 x Brot" in mail["text"]
    assert "Tea" not in mail["text"]


async def test_driver_who_sees_the_feed_is_not_told_besides(world: NoticeWorld) -> None:
    await world.order("assigned", DRIVER)
    await world.event(1, "assigned", "admin", **ASSIGNED)
    await world.news("notify_order", "order.assigned", 1)
    await world.work()
    assert [row for row in await world.notices() if row[0] == DRIVER] == []


@pytest.mark.parametrize("away", ["status = 'offline'", "unreachable_at = now()"])
async def test_driver_who_is_away_hears_what_an_operator_has_done(world: NoticeWorld, away: str) -> None:
    await world.owner.execute(f"UPDATE drivers SET {away} WHERE id = 3")
    await world.order("assigned", OTHER_DRIVER)
    await world.event(1, "handed_over", "admin", driver_id="drv_4", **{"from": "drv_3"})
    await world.news("notify_order", "order.reassigned", 1)
    await world.work()
    assert [row[:4] for row in await world.notices() if row[0] == DRIVER] == [
        (DRIVER, "mail", "driver_released", "sent"),
        (DRIVER, "sms", "driver_released", "sent"),
    ]


async def test_driver_who_has_it_again_is_not_told_to_leave_it(world: NoticeWorld) -> None:
    await world.owner.execute("UPDATE drivers SET status = 'offline'")
    await world.order("assigned", DRIVER)
    await world.event(1, "released", "admin", **ASSIGNED)
    await world.event(2, "assigned", "admin", **ASSIGNED)
    await world.news("notify_order", "order.released", 1)
    await world.news("notify_order", "order.assigned", 2)
    await world.work()
    assert {row[2:] for row in await world.notices() if row[0] == DRIVER} == {
        ("driver_released", "dropped", "superseded"),
        ("driver_assigned", "sent", None),
    }


async def test_operators_hear_of_an_order_that_nobody_takes(world: NoticeWorld) -> None:
    await world.order()
    world.clock.now += 600
    await world.news("notify_operators", "order.unassigned", 1)
    await world.work()
    assert world.mail.subjects() == [("ada@mall.example", "No driver for the order ord_17")]
    assert "for 10 minutes" in world.mail.mails[0]["text"]


async def stock(world: NoticeWorld, event: str, product: int, version: int) -> None:
    await world.add("notify_stock", type=event, ref=product, version=version, order_id=None)


async def test_store_hears_that_a_product_is_short(world: NoticeWorld) -> None:
    await stock(world, "stock.low", 1, 70)
    await stock(world, "stock.low", 1, 70)
    await world.work()
    assert world.mail.subjects() == [("bakery@mall.example", "Nur noch 3 von Brot")]


async def test_administrators_hear_it_where_the_store_has_no_contact(world: NoticeWorld) -> None:
    await stock(world, "stock.out", 2, 71)
    await world.work()
    assert world.mail.subjects() == [("ada@mall.example", "Tea is sold out")]


async def test_stock_that_is_there_again_is_no_news(world: NoticeWorld) -> None:
    await stock(world, "stock.out", 1, 72)
    await world.work()
    assert world.mail.mails == []
    assert (await world.notices())[0][3:] == ("dropped", "superseded")


async def test_quiet_hours_put_an_alert_off_and_count_no_failure(world: NoticeWorld) -> None:
    world.clock.now = datetime(2100, 1, 1, 12, tzinfo=UTC).timestamp()  # the database's clock is behind it
    await world.owner.execute(
        "UPDATE users SET quiet_from = $1, quiet_to = $2 WHERE id = 9", time(11), time(13)
    )
    await stock(world, "stock.out", 2, 73)
    assert await world.work() == ["notify_stock done", "send_mail snoozed"]
    due, failures = await world.owner.fetchrow(
        "SELECT extract(epoch FROM due_at)::bigint, failures FROM jobs"
    )
    assert (due, failures) == (int(world.clock.now) + 3600, 0)
    world.clock.now += 3600
    await world.later()
    await world.work()
    assert len(world.mail.mails) == 1


async def test_refund_says_what_this_step_has_given_back(world: NoticeWorld) -> None:
    await world.order("delivered", payment="card")
    for version, refunded in ((3, 200), (5, 500)):
        body = {"data": {"refunded": {"amount_minor": refunded, "currency": "EUR"}}}
        await world.owner.execute(
            "INSERT INTO event_log (pos, type, topic, ref, version, store_ids, body, trace, at)"
            " VALUES ($1, 'payment.refunded', 'payment', 5, $1, '{}', $2, '', now())",
            version, json.dumps(body).encode(),
        )  # fmt: skip
        await world.news("notify_order", "payment.refunded", version, ref=5)
    await world.work()
    assert [subject for _, subject in world.mail.subjects()] == [
        "2,00 € deiner Bestellung ord_17 wurden erstattet",
        "3,00 € deiner Bestellung ord_17 wurden erstattet",
    ]


async def test_users_are_told_what_is_about_no_order(world: NoticeWorld) -> None:
    data = {"webhook": "whk_1", "host": "shop.example", "why": "gone"}
    await world.add("notify_users", type="webhook_disabled", data=data)
    amounts = [{"currency": "EUR", "pay_minor": 2450, "cash_minor": 1200}]
    await world.add(
        "send_digest", driver_id=DRIVER, zone_id=1, day="2026-03-01", deliveries=7, amounts=amounts
    )
    await world.work()
    assert sorted(to for to, _ in world.mail.subjects()) == ["ada@mall.example", "max@mall.example"]


async def test_webhook_that_is_disabled_is_told_to_the_administrators_once(world: NoticeWorld) -> None:
    await world.owner.execute(
        "INSERT INTO webhook_endpoints (id, owner_user_id, url, secrets, secrets_from, secrets_until, reached)"
        " SELECT 7, min(id), 'https://shop.example/hooks', '{x}', ARRAY[now()], ARRAY[NULL::timestamptz], 0 FROM users"
    )
    for _ in range(2):
        await world.owner.execute(
            "UPDATE webhook_endpoints SET disabled_at = now(), disabled_why = 'gone' WHERE id = 7"
        )
    await world.work()
    [mail] = world.mail.mails
    assert mail["to"] == "ada@mall.example"
    assert "whk_7" in mail["text"]
    assert "shop.example" in mail["text"]


async def test_webhook_that_somebody_disabled_by_hand_is_told_to_nobody(world: NoticeWorld) -> None:
    await world.owner.execute(
        "INSERT INTO webhook_endpoints (id, owner_user_id, url, secrets, secrets_from, secrets_until, reached)"
        " SELECT 7, min(id), 'https://shop.example/', '{x}', ARRAY[now()], ARRAY[NULL::timestamptz], 0 FROM users"
    )
    await world.owner.execute("UPDATE webhook_endpoints SET disabled_at = now(), disabled_why = 'by_hand'")
    assert await world.work() == []


async def test_jobs_that_died_are_told_to_the_administrators_together(world: NoticeWorld) -> None:
    await world.add("tell_dead_jobs")
    await world.work()
    assert world.mail.mails == []
    await world.owner.execute(
        "INSERT INTO jobs (task, payload, trace, due_at, died_at, error)"
        " SELECT 'daily_figures', '{}', '', NULL, now(), 'no disk' FROM generate_series(1, 3)"
    )
    await world.add("tell_dead_jobs")
    await world.work()
    [mail] = world.mail.mails
    assert mail["to"] == "ada@mall.example"
    assert "daily_figures: 3 (no disk)" in mail["text"]


async def test_old_notices_go_and_those_that_wait_stay(world: NoticeWorld) -> None:
    await assigned(world)
    await world.news("notify_order", "order.assigned", 2)
    world.sms.failures = [SendUnavailable("away")]
    await world.work()
    await world.owner.execute("UPDATE notices SET created_at = now() - interval '91 days'")
    await world.add("trim_notices")
    await world.work()
    assert [row[1:4] for row in await world.notices()] == [("sms", "assigned", "wanted")]


async def test_server_writes_notices_through_functions_alone(world: NoticeWorld) -> None:
    rights = await world.owner.fetch(
        "SELECT table_name, privilege_type FROM information_schema.table_privileges WHERE grantee = 'mall_app'"
        " AND table_name IN ('notices', 'notice_preferences', 'sandbox_messages')"
    )
    assert {tuple(row) for row in rights} == {
        ("notices", "SELECT"), ("notice_preferences", "SELECT"), ("sandbox_messages", "SELECT"),
    }  # fmt: skip
