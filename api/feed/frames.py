"""Frames of clients: strict models, and their decoding. The member `t` names the type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from api.contract.field_errors import told
from api.contract.fields import (
    DeclineReason,
    Lat,
    Lon,
    Metres,
    MetresPerSecond,
    Name,
    OfferId,
    OrderId,
    Pin,
    Reason,
    Strict,
    TripId,
)
from api.contract.json_body import scan_json
from api.contract.literals import as_whole
from api.contract.problems import Problem
from dispatch.domain.commands import UNSPECIFIED
from dispatch.domain.ids import NUMBER_MAX

FRAME_BYTES_MAX = 16 * 1024
# Orders of one offer: the most that a driver can carry.
ORDERS_MAX = 20

ID_LENGTH_MAX = 64

FrameId = (
    Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH_MAX)]
    | Annotated[int, Field(ge=0, le=NUMBER_MAX)]
)
Key = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]
Seq = Annotated[int, Field(ge=0, le=NUMBER_MAX)]


def _or_none(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
    try:
        return inner(value)
    except ValidationError:
        return None


# An optional value of a sensor: a nonsensical one counts as absent, and the frame stays valid.
_SENSIBLE = WrapValidator(_or_none)


class ResumeFrame(Strict):
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    seq: Seq


class HelloFrame(Strict):
    t: Literal["hello"]
    id: FrameId | None = None
    ticket: Annotated[str, StringConstraints(min_length=10, max_length=100)] | None = None
    resume: Annotated[ResumeFrame | None, _SENSIBLE] = None
    device: Annotated[Name | None, _SENSIBLE] = None
    app_version: Annotated[Name | None, _SENSIBLE] = None


class AckFrame(Strict):
    t: Literal["ack"]
    seq: Seq


class PingFrame(Strict):
    t: Literal["ping"]
    id: FrameId | None = None


class PongFrame(Strict):
    t: Literal["pong"]


class SeenFrame(Strict):
    t: Literal["offer.seen"]
    offer_id: OfferId


class AcceptFrame(Strict):
    t: Literal["offer.accept"]
    id: FrameId
    key: Key
    orders: Annotated[list[OrderId], Field(min_length=1, max_length=ORDERS_MAX)]
    offer_id: OfferId | None = None
    trip_id: TripId | None = None


class DeclineFrame(Strict):
    t: Literal["offer.decline"]
    id: FrameId
    key: Key
    orders: Annotated[list[OrderId], Field(min_length=1, max_length=ORDERS_MAX)]
    offer_id: OfferId | None = None
    trip_id: TripId | None = None
    reason: DeclineReason = UNSPECIFIED


class PickUpFrame(Strict):
    t: Literal["order.pickup"]
    id: FrameId
    key: Key
    order_id: OrderId


class DeliverFrame(Strict):
    t: Literal["order.delivery"]
    id: FrameId
    key: Key
    order_id: OrderId
    pin: Pin | None = None


class FailFrame(Strict):
    t: Literal["order.failure"]
    id: FrameId
    key: Key
    order_id: OrderId
    reason: Reason
    returning: bool = False


class ReturnFrame(Strict):
    t: Literal["order.return"]
    id: FrameId
    key: Key
    order_id: OrderId


class AvailabilityFrame(Strict):
    t: Literal["availability"]
    id: FrameId
    key: Key
    status: Literal["online", "offline"]
    shift_ends_at_ms: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None


class LocationFrame(Strict):
    t: Literal["loc"]
    cseq: Annotated[Seq | None, _SENSIBLE] = None
    lat: Lat
    lon: Lon
    accuracy_m: Annotated[Metres, _SENSIBLE] = None
    speed_mps: Annotated[MetresPerSecond, _SENSIBLE] = None


class AuthRefreshFrame(Strict):
    t: Literal["auth.refresh"]
    id: FrameId
    token: Annotated[str, StringConstraints(min_length=20, max_length=4096)]


Frame = (
    HelloFrame | AckFrame | PingFrame | PongFrame | SeenFrame | AcceptFrame | DeclineFrame | PickUpFrame | DeliverFrame
    | FailFrame | ReturnFrame | AvailabilityFrame | LocationFrame | AuthRefreshFrame
)  # fmt: skip
# Commands, by subject: one or several orders of an offer, one carried order, the driver.
OfOffer: TypeAlias = AcceptFrame | DeclineFrame
OfOrder: TypeAlias = PickUpFrame | DeliverFrame | FailFrame | ReturnFrame
Command: TypeAlias = OfOffer | OfOrder | AvailabilityFrame
# For isinstance: a union would be built anew for each frame.
OF_OFFER = (AcceptFrame, DeclineFrame)
FRAMES: Mapping[str, type[Frame]] = {
    "hello": HelloFrame,
    "ack": AckFrame,
    "ping": PingFrame,
    "pong": PongFrame,
    "offer.seen": SeenFrame,
    "offer.accept": AcceptFrame,
    "offer.decline": DeclineFrame,
    "order.pickup": PickUpFrame,
    "order.delivery": DeliverFrame,
    "order.failure": FailFrame,
    "order.return": ReturnFrame,
    "availability": AvailabilityFrame,
    "loc": LocationFrame,
    "auth.refresh": AuthRefreshFrame,
}


class BadFrame(Exception):
    """A frame that cannot be decoded; `frame_id` is the id that the error refers to, if the frame has one.

    `is_reading`: it is a position without valid coordinates; a phone without a fix is not at fault.
    """

    def __init__(self, detail: str, frame_id: Any = None, *, is_reading: bool = False) -> None:
        super().__init__(detail)
        self.is_reading = is_reading
        self.detail = detail
        self.frame_id = frame_id


def _frame_id(raw: Any) -> str | int | None:
    """The id of a refused frame, if it is valid; any other value is not sent back."""
    found = as_whole(raw.get("id")) if isinstance(raw, dict) else None
    if isinstance(found, str) and 1 <= len(found) <= ID_LENGTH_MAX:
        return found
    if type(found) is int and 0 <= found <= NUMBER_MAX:
        return found
    return None


def decode_frame(data: bytes) -> Frame:
    """Decode the frame of a message.

    Raises:
        BadFrame: not JSON, an unknown `t`, or a wrong field.
    """
    try:
        raw = scan_json(data)
    except Problem as problem:
        raise BadFrame(problem.detail) from None
    kind = raw.get("t") if isinstance(raw, dict) else None
    model = FRAMES.get(kind) if isinstance(kind, str) else None
    frame_id = _frame_id(raw)
    if model is None:
        raise BadFrame("a frame is an object with a known `t`", frame_id)
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Inside an id pydantic names the branches of its union.
        path = first["loc"][:1] if first["loc"][:1] == ("id",) else first["loc"]
        where = ".".join(str(part) for part in path) or "frame"
        raise BadFrame(
            f"{where[:100]}: {told(first)}",
            frame_id,
            is_reading=model is LocationFrame and where != "frame" and first["type"] != "extra_forbidden",
        ) from None
