"""Close codes of a socket.

The range tells a client what to do with a code that it does not know: 40xx stop, 41xx back off, 42xx reconnect and
resume.
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.feed_frames import DISABLED as DISABLED
from dispatch.feed_frames import POSITION_LOST as POSITION_LOST
from dispatch.feed_frames import SUPERSEDED as SUPERSEDED
from dispatch.feed_frames import UNREADABLE as UNREADABLE

UNAUTHENTICATED = 4001
FORBIDDEN = 4003
BAD_FRAME = 4004
OVERLOADED = 4100
RATE_LIMITED = 4101
TOO_MANY = 4102
INTERNAL = 4103
LATE_HELLO = 4104
DRAINING = 4200
TOKEN_EXPIRED = 4201
SLOW_CONSUMER = 4202
NO_PONG = 4203

REASONS: Mapping[int, str] = {
    UNAUTHENTICATED: "unauthenticated",
    FORBIDDEN: "forbidden",
    BAD_FRAME: "bad_frame",
    SUPERSEDED: "superseded",
    DISABLED: "disabled",
    OVERLOADED: "overloaded",
    RATE_LIMITED: "rate_limited",
    TOO_MANY: "too_many_connections",
    INTERNAL: "internal",
    LATE_HELLO: "late_hello",
    DRAINING: "draining",
    TOKEN_EXPIRED: "token_expired",
    SLOW_CONSUMER: "slow_consumer",
    NO_PONG: "no_pong",
    POSITION_LOST: "position_lost",
    UNREADABLE: "log_unreadable",
}
