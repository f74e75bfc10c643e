"""Codes of refusals. A refused command has no effect. The codes are part of the API."""

from __future__ import annotations

from actors.values import frozen

ORDER_TAKEN = "order_taken"
DRIVER_BUSY = "driver_busy"
DRIVER_OFFLINE = "driver_offline"
NOT_OFFERED = "not_offered"
ORDER_CLOSED = "order_closed"
OFFER_EXPIRED = "offer_expired"
INVALID_TRANSITION = "invalid_transition"
NOT_YOURS = "not_yours"
PRECONDITION_FAILED = "precondition_failed"
NOT_A_PICKUP = "not_a_pickup"
PIN_REQUIRED = "pin_required"
WRONG_PIN = "wrong_pin"
PIN_LOCKED = "pin_locked"


@frozen
class Refused:
    """Refusal of a command.

    Attributes:
        code: one of the constants above.
        status: the order's status when it was refused.
    """

    code: str
    status: str = ""
