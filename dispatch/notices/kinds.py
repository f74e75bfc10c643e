"""Kinds of notices: who gets each, on which channels, and what a user may switch off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from actors.values import frozen
from dispatch.domain import order as o

Channel = Literal["mail", "sms"]
Audience = Literal["customer", "store", "driver", "admin", "anybody"]
MAIL: Channel = "mail"
SMS: Channel = "sms"
CHANNELS: tuple[Channel, ...] = (MAIL, SMS)


@frozen
class NoticeKind:
    """A kind of notice.

    Attributes:
        type: its name; its templates have the same.
        audience: who gets it. It is also the role whose preferences list it.
        channels: on which it can be sent.
        usual: on which of them it is sent to a user without a preference.
        can_wait: quiet hours hold it back.
        optional: the user may switch it off.
        stale: statuses of the order in which it is no news any more.
    """

    type: str
    audience: Audience
    channels: tuple[Channel, ...] = CHANNELS
    usual: tuple[Channel, ...] = (MAIL,)
    can_wait: bool = False
    optional: bool = True
    stale: frozenset[str] = frozenset()


_ON_ITS_WAY = o.TERMINAL | {o.PICKED_UP}
_LISTED = (
    NoticeKind("confirmed", "customer", stale=o.TERMINAL),
    NoticeKind("assigned", "customer", usual=CHANNELS, stale=_ON_ITS_WAY),
    NoticeKind("picked_up", "customer", usual=(SMS,), stale=o.TERMINAL),
    NoticeKind("delivered", "customer"),
    NoticeKind("cancelled", "customer", usual=CHANNELS),
    NoticeKind("undeliverable", "customer", usual=CHANNELS),
    NoticeKind("refunded", "customer"),
    NoticeKind("store_new_order", "store", usual=CHANNELS, stale=_ON_ITS_WAY),
    NoticeKind("stock_low", "store", can_wait=True),
    NoticeKind("stock_out", "store", can_wait=True),
    NoticeKind("driver_assigned", "driver", usual=CHANNELS, stale=o.TERMINAL),
    NoticeKind("driver_released", "driver", usual=CHANNELS),
    NoticeKind("driver_cancelled", "driver", usual=CHANNELS),
    NoticeKind("driver_digest", "driver", channels=(MAIL,), can_wait=True),
    NoticeKind("order_unassigned", "admin", channels=(MAIL,), stale=o.TERMINAL | o.CARRIED),
    NoticeKind("webhook_disabled", "admin", channels=(MAIL,)),
    NoticeKind("dead_jobs", "admin", channels=(MAIL,)),
    NoticeKind("password_reset", "anybody", channels=(MAIL,), optional=False),
)
KINDS: Mapping[str, NoticeKind] = {kind.type: kind for kind in _LISTED}
# Stock alerts go to the administrators where a store has no contact.
_ALSO = {"admin": ("stock_low", "stock_out")}


def kinds_for(role: str) -> tuple[NoticeKind, ...]:
    """Kinds that a user of this role may get and switch off."""
    also = _ALSO.get(role, ())
    return tuple(kind for kind in _LISTED if kind.optional and (kind.audience == role or kind.type in also))
