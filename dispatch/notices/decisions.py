"""Decisions about notices: on which channels, whether it is still news, and whether it has to wait.

Pure: times and rows come in as arguments. They are taken when a job runs, because preferences, quiet hours and the
order may have changed since the notice was wanted.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from actors.values import frozen
from dispatch.notices.kinds import Channel, NoticeKind
from dispatch.notices.recipients import Recipient


@frozen
class SendNow:
    """The notice is sent to this address."""

    address: str


@frozen
class DropNotice:
    """The notice is not sent: nobody needs it, or it has nowhere to go."""

    why: str


@frozen
class HoldNotice:
    """The notice waits for the end of the quiet hours."""

    until_ms: int


NoticeDecision = SendNow | DropNotice | HoldNotice


def is_wanted(kind: NoticeKind, channel: Channel, recipient: Recipient) -> bool:
    """True when the recipient wants this kind on this channel."""
    if channel not in kind.channels:
        return False
    usual = channel in kind.usual
    if not kind.optional or recipient.preferences is None:
        return usual
    return recipient.preferences.get((kind.type, channel), usual)


def wanted_channels(
    kind: NoticeKind, recipient: Recipient, available: Collection[Channel]
) -> tuple[Channel, ...]:
    """Channels on which the recipient gets this kind. `available`: those that have a sender."""
    return tuple(
        channel
        for channel in kind.channels
        if channel in available and recipient.address(channel) and is_wanted(kind, channel, recipient)
    )


def decide_notice(
    kind: NoticeKind,
    channel: Channel,
    recipient: Recipient | None,
    now_ms: int,
    *,
    status: str | None = None,
    replaced: bool = False,
) -> NoticeDecision:
    """Decide about a notice that is about to be sent.

    `status` is the present one of its order, None if it is not about one. `replaced`: the order has gone to another
    driver since.
    """
    if recipient is None or not recipient.open:
        return DropNotice("account_closed")
    address = recipient.address(channel)
    if not address:
        return DropNotice("no_address")
    if not is_wanted(kind, channel, recipient):
        return DropNotice("not_wanted")
    if replaced or (status is not None and status in kind.stale):
        return DropNotice("superseded")
    until_ms = quiet_until(recipient, now_ms) if kind.can_wait else None
    return SendNow(address) if until_ms is None else HoldNotice(until_ms)


def quiet_until(recipient: Recipient, now_ms: int) -> int | None:
    """The end of the recipient's quiet hours, if it is in them. They may go over midnight.

    Where a clock is set forward, an end that does not exist is an hour later.
    """
    if recipient.quiet is None:
        return None
    begin, end = recipient.quiet
    zone = zone_of(recipient.time_zone)
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    if not _is_between(begin, end, local.time()):
        return None
    day = local.date() if local.time() < end else local.date() + timedelta(days=1)
    until = datetime.combine(day, end, zone)
    return max(now_ms + 1, round(until.timestamp() * 1000))


def _is_between(begin: time, end: time, at: time) -> bool:
    if begin <= end:
        return begin <= at < end
    return at >= begin or at < end


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """A time zone; UTC where this machine does not know the name."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return ZoneInfo("UTC")
