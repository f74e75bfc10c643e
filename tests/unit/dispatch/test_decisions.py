"""When a notice is sent, waits or is dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from dispatch.domain import order as o
from dispatch.notices.decisions import (
    DropNotice,
    HoldNotice,
    SendNow,
    decide_notice,
    quiet_until,
    wanted_channels,
)
from dispatch.notices.kinds import CHANNELS, KINDS, MAIL, SMS, kinds_for
from dispatch.notices.recipients import Recipient
from tests.support.letters import BAKERY, NOON_MS, ZOE

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = replace(ZOE, quiet=(time(22), time(7)))


def at(day: int, hour: int, minute: int = 0, month: int = 3) -> int:
    """A time in Berlin in 2026."""
    return round(datetime(2026, month, day, hour, minute, tzinfo=BERLIN).timestamp() * 1000)


def chosen(type_: str, channel: str, *, wanted: bool) -> Recipient:
    return replace(ZOE, preferences={(type_, channel): wanted})


# -- channels ---------------------------------------------------------------------------------------------


def test_usual_channels_are_those_of_the_kind() -> None:
    assert wanted_channels(KINDS["assigned"], ZOE, CHANNELS) == (MAIL, SMS)
    assert wanted_channels(KINDS["delivered"], ZOE, CHANNELS) == (MAIL,)
    assert wanted_channels(KINDS["picked_up"], ZOE, CHANNELS) == (SMS,)


def test_choice_of_the_user_goes_before() -> None:
    assert wanted_channels(KINDS["assigned"], chosen("assigned", SMS, wanted=False), CHANNELS) == (MAIL,)
    more = chosen("delivered", SMS, wanted=True)
    assert wanted_channels(KINDS["delivered"], more, CHANNELS) == (MAIL, SMS)
    assert wanted_channels(KINDS["assigned"], more, CHANNELS) == (MAIL, SMS)


def test_channel_without_an_address_or_a_sender_is_left_out() -> None:
    assert wanted_channels(KINDS["assigned"], replace(ZOE, phone=None), CHANNELS) == (MAIL,)
    assert wanted_channels(KINDS["assigned"], ZOE, (MAIL,)) == (MAIL,)
    assert wanted_channels(KINDS["assigned"], ZOE, ()) == ()


def test_security_cannot_be_switched_off() -> None:
    recipient = chosen("password_reset", MAIL, wanted=False)
    assert wanted_channels(KINDS["password_reset"], recipient, CHANNELS) == (MAIL,)
    assert "password_reset" not in {k.type for r in ("customer", "driver", "admin") for k in kinds_for(r)}


def test_channel_that_a_kind_has_not_cannot_be_chosen() -> None:
    recipient = chosen("driver_digest", SMS, wanted=True)
    assert wanted_channels(KINDS["driver_digest"], recipient, CHANNELS) == (MAIL,)


def test_roles_choose_among_their_own_kinds() -> None:
    assert {kind.type for kind in kinds_for("customer")} >= {"confirmed", "assigned", "refunded"}
    assert {kind.type for kind in kinds_for("driver")} >= {"driver_digest", "driver_cancelled"}
    assert {kind.type for kind in kinds_for("admin")} >= {"order_unassigned", "stock_out"}
    assert not {kind.type for kind in kinds_for("customer")} & {kind.type for kind in kinds_for("admin")}


# -- news -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "status", "is_news"),
    [
        ("assigned", o.ASSIGNED, True),
        ("assigned", o.PICKED_UP, False),
        ("assigned", o.DELIVERED, False),
        ("confirmed", o.ASSIGNED, True),
        ("confirmed", o.CANCELLED, False),
        ("picked_up", o.PICKED_UP, True),
        ("picked_up", o.DELIVERED, False),
        ("delivered", o.DELIVERED, True),
        ("cancelled", o.CANCELLED, True),
        ("undeliverable", o.UNDELIVERABLE, True),
        ("refunded", o.DELIVERED, True),
        ("order_unassigned", o.CONFIRMED, True),
        ("order_unassigned", o.ASSIGNED, False),
    ],
)
def test_news_that_the_order_has_overtaken_is_dropped(type_: str, status: str, is_news: bool) -> None:
    decision = decide_notice(KINDS[type_], MAIL, chosen(type_, MAIL, wanted=True), NOON_MS, status=status)
    assert decision == (SendNow("zoe@mall.example") if is_news else DropNotice("superseded"))


def test_driver_who_has_lost_the_order_is_no_news() -> None:
    decision = decide_notice(KINDS["assigned"], MAIL, ZOE, NOON_MS, status=o.ASSIGNED, replaced=True)
    assert decision == DropNotice("superseded")


@pytest.mark.parametrize(
    ("recipient", "why"),
    [
        (None, "account_closed"),
        (replace(ZOE, open=False), "account_closed"),
        (replace(ZOE, email=None), "no_address"),
        (chosen("delivered", MAIL, wanted=False), "not_wanted"),
    ],
)
def test_what_has_changed_since_it_was_wanted_counts(recipient: Recipient | None, why: str) -> None:
    assert decide_notice(KINDS["delivered"], MAIL, recipient, NOON_MS) == DropNotice(why)


# -- quiet hours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["assigned", "delivered", "cancelled", "password_reset", "confirmed"])
def test_quiet_hours_never_hold_back_what_cannot_wait(type_: str) -> None:
    decision = decide_notice(KINDS[type_], MAIL, NIGHT, at(1, 23), status=o.ASSIGNED)
    assert isinstance(decision, SendNow)


@pytest.mark.parametrize("type_", ["driver_digest", "stock_low", "stock_out"])
def test_quiet_hours_hold_back_what_can(type_: str) -> None:
    assert decide_notice(KINDS[type_], MAIL, NIGHT, at(1, 23)) == HoldNotice(at(2, 7))
    assert isinstance(decide_notice(KINDS[type_], MAIL, NIGHT, at(1, 12)), SendNow)
    assert isinstance(decide_notice(KINDS[type_], MAIL, BAKERY, at(1, 23)), SendNow)


def test_quiet_hours_go_over_midnight() -> None:
    assert quiet_until(NIGHT, at(1, 22)) == at(2, 7)
    assert quiet_until(NIGHT, at(2, 0)) == at(2, 7)
    assert quiet_until(NIGHT, at(2, 6, 59)) == at(2, 7)
    assert quiet_until(NIGHT, at(2, 7)) is None
    assert quiet_until(NIGHT, at(2, 21, 59)) is None


def test_quiet_hours_of_one_day_end_on_it() -> None:
    nap = replace(ZOE, quiet=(time(13), time(15, 30)))
    assert quiet_until(nap, at(1, 13)) == at(1, 15, 30)
    assert quiet_until(nap, at(1, 12, 59)) is None
    assert quiet_until(nap, at(1, 15, 30)) is None


def test_quiet_hours_without_length_are_none() -> None:
    assert quiet_until(replace(ZOE, quiet=(time(7), time(7))), at(1, 7)) is None


def test_quiet_hours_are_those_of_the_recipients_zone() -> None:
    tokyo = replace(NIGHT, time_zone="Asia/Tokyo")
    assert quiet_until(tokyo, NOON_MS) is None
    at_night_ms = round(datetime(2026, 3, 1, 14, tzinfo=UTC).timestamp() * 1000)
    assert quiet_until(tokyo, at_night_ms) == at_night_ms + 8 * 3_600_000


def test_night_in_which_the_clock_changes_is_as_long_as_it_is() -> None:
    assert quiet_until(NIGHT, at(28, 22)) == at(28, 22) + 8 * 3_600_000
    assert quiet_until(NIGHT, at(24, 22, month=10)) == at(24, 22, month=10) + 10 * 3_600_000
    until_two_thirty = replace(ZOE, quiet=(time(22), time(2, 30)))
    ends = quiet_until(until_two_thirty, at(28, 22))
    assert ends is not None
    assert ends > at(28, 22)
    assert quiet_until(until_two_thirty, ends) is None


def test_notice_that_was_put_off_is_sent_when_it_is_due() -> None:
    held = decide_notice(KINDS["stock_low"], MAIL, NIGHT, at(1, 23))
    assert isinstance(held, HoldNotice)
    assert isinstance(decide_notice(KINDS["stock_low"], MAIL, NIGHT, held.until_ms), SendNow)
