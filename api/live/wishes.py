"""Frames of an operator's page: strict models, and their decoding. The member `t` names the type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from api.contract.field_errors import told
from api.contract.fields import Strict, ZoneId
from api.contract.json_body import scan_json
from api.contract.problems import Problem
from api.feed.frames import BadFrame
from dispatch.domain.ids import NUMBER_MAX


class WatchWish(Strict):
    """Follow this zone instead of the one before; null: none."""

    t: Literal["watch"]
    zone_id: ZoneId | None


class DrawnWish(Strict):
    """The tick of this number was drawn."""

    t: Literal["ack"]
    n: Annotated[int, Field(ge=0, le=NUMBER_MAX)]


class WholeWish(Strict):
    """A tick is missing: send the whole."""

    t: Literal["whole"]


class StillHereWish(Strict):
    t: Literal["ping"]


class TokenWish(Strict):
    """A fresh access token of the same user, before the first one ends."""

    t: Literal["auth.refresh"]
    token: Annotated[str, StringConstraints(min_length=10, max_length=4096)]


Wish = WatchWish | DrawnWish | WholeWish | StillHereWish | TokenWish
WISHES: Mapping[str, type[Wish]] = {
    "watch": WatchWish,
    "ack": DrawnWish,
    "whole": WholeWish,
    "ping": StillHereWish,
    "auth.refresh": TokenWish,
}


def decode_wish(text: str) -> Wish:
    """Decode a frame.

    Raises:
        BadFrame: not JSON, an unknown `t`, or a wrong field.
    """
    try:
        data = text.encode()
        raw = scan_json(data)
    except (Problem, UnicodeEncodeError) as error:
        raise BadFrame(error.detail if isinstance(error, Problem) else "not UTF-8") from None
    kind = raw.get("t") if isinstance(raw, dict) else None
    model = WISHES.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise BadFrame("a frame is an object with a known `t`")
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "frame"
        raise BadFrame(f"{where[:100]}: {told(first)}") from None
