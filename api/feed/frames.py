"""Frames that clients send. Each is a strict model; `t` says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from api.bodies import scan_json
from api.faults import told
from api.fields import Lat, Lon, Name, OfferId, OrderId, Reason, Strict
from api.literals import as_whole
from api.problems import Problem
from dispatch.domain.ids import NUMBER_MAX

FRAME_BYTES_MAX = 16 * 1024
# Orders of one offer: as many as anybody can carry.
ORDERS_MAX = 20

ID_LENGTH_MAX = 64

FrameId = (
    Annotated[str, StringConstraints(min_length=1, max_length=ID_LENGTH_MAX)]
    | Annotated[int, Field(ge=0, le=NUMBER_MAX)]
)
Key = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]
Seq = Annotated[int, Field(ge=0, le=NUMBER_MAX)]


class Resume(Strict):
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    seq: Seq


class Hello(Strict):
    t: Literal["hello"]
    id: FrameId | None = None
    ticket: Annotated[str, StringConstraints(min_length=10, max_length=100)] | None = None
    resume: Resume | None = None
    device: Name | None = None
    app_version: Name | None = None


class Ack(Strict):
    t: Literal["ack"]
    seq: Seq


class Ping(Strict):
    t: Literal["ping"]
    id: FrameId | None = None


class Pong(Strict):
    t: Literal["pong"]


class Seen(Strict):
    t: Literal["offer.seen"]
    offer_id: OfferId


class Accept(Strict):
    t: Literal["offer.accept"]
    id: FrameId
    key: Key
    orders: Annotated[list[OrderId], Field(min_length=1, max_length=ORDERS_MAX)]
    offer_id: OfferId | None = None


class Decline(Strict):
    t: Literal["offer.decline"]
    id: FrameId
    key: Key
    orders: Annotated[list[OrderId], Field(min_length=1, max_length=ORDERS_MAX)]
    offer_id: OfferId | None = None
    reason: Reason = "unspecified"


class PickUp(Strict):
    t: Literal["order.pickup"]
    id: FrameId
    key: Key
    order_id: OrderId


class Deliver(Strict):
    t: Literal["order.delivery"]
    id: FrameId
    key: Key
    order_id: OrderId


class Fail(Strict):
    t: Literal["order.failure"]
    id: FrameId
    key: Key
    order_id: OrderId
    reason: Reason


class Availability(Strict):
    t: Literal["availability"]
    id: FrameId
    key: Key
    status: Literal["online", "offline"]


class Location(Strict):
    t: Literal["loc"]
    cseq: Seq
    lat: Lat
    lon: Lon
    accuracy_m: Annotated[float, Field(ge=0, le=100_000)] | None = None
    speed_mps: Annotated[float, Field(ge=0, le=200)] | None = None


class AuthRefresh(Strict):
    t: Literal["auth.refresh"]
    id: FrameId
    token: Annotated[str, StringConstraints(min_length=20, max_length=4096)]


Frame = (
    Hello | Ack | Ping | Pong | Seen | Accept | Decline | PickUp | Deliver | Fail | Availability
    | Location | AuthRefresh
)  # fmt: skip
FRAMES: Mapping[str, type[Frame]] = {
    "hello": Hello,
    "ack": Ack,
    "ping": Ping,
    "pong": Pong,
    "offer.seen": Seen,
    "offer.accept": Accept,
    "offer.decline": Decline,
    "order.pickup": PickUp,
    "order.delivery": Deliver,
    "order.failure": Fail,
    "availability": Availability,
    "loc": Location,
    "auth.refresh": AuthRefresh,
}


class BadFrame(Exception):
    """A frame that cannot be understood; `frame_id` is what the error refers to, if it has one."""

    def __init__(self, detail: str, frame_id: Any = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.frame_id = frame_id


def _frame_id(raw: Any) -> str | int | None:
    """The id of a frame that is refused, if it is one: anything else is not sent back."""
    found = as_whole(raw.get("id")) if isinstance(raw, dict) else None
    if isinstance(found, str) and 1 <= len(found) <= ID_LENGTH_MAX:
        return found
    if type(found) is int and 0 <= found <= NUMBER_MAX:
        return found
    return None


def decode_frame(data: bytes) -> Frame:
    """The frame of a message.

    Raises:
        BadFrame: not JSON, no known `t`, or a field is wrong.
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
        # Inside an id pydantic would name the branches of its union.
        path = first["loc"][:1] if first["loc"][:1] == ("id",) else first["loc"]
        where = ".".join(str(part) for part in path) or "frame"
        raise BadFrame(f"{where[:100]}: {told(first)}", frame_id) from None
