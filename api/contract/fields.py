"""Field types that are at least as strict as the columns behind them.

A text must not contain control characters (Postgres refuses NUL), lone surrogates, or invisible characters that
change how it is displayed: bidirectional controls, line separators, and all that Unicode calls ignorable
(zero-width ones, fillers, tags), except the selectors that colour emoji. In a person's text, U+200C and U+200D are
letters (Persian, the scripts of India, joined emoji), and a text of several lines may have line breaks, which become
line feeds. A text of nothing but these characters is empty.

The length of a text is checked as it was sent, as the documents promise, and again in NFC and stripped: NFC makes
some texts three times as long, and the columns count the stored form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticKnownError

from api.contract.field_readers import put_readers
from api.contract.literals import NUMBER_LENGTH_MAX, NUMBER_PATTERN, TIME_LENGTH_MAX, number_of
from dispatch.domain import ids
from dispatch.domain.commands import DECLINE_REASONS

# Refused in every text, beside the characters that the tables below allow to some kinds.
_HIDDEN = (
    "\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
)
# The documents write these as escapes, which every dialect of regular expressions reads. They leave out surrogates,
# which JSON in UTF-8 does not have, and the planes above the first, which some dialects see as surrogates.
_BEYOND = "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_JOINERS = "\u200c\u200d"
Kind = Literal["code", "line", "lines"]
# A `code` is for programs, a `line` is a person's text, `lines` may be several.
_CONTROLS: Mapping[Kind, str] = {
    "code": "\u0000-\u001f" + _JOINERS,
    "line": "\u0000-\u001f",
    "lines": "\u0000-\u0009\u000b\u000c\u000e-\u001f",
}
_FORBIDDEN: Mapping[Kind, re.Pattern[str]] = {
    kind: re.compile(f"[{controls}{_HIDDEN}{_BEYOND}]") for kind, controls in _CONTROLS.items()
}
_FORBIDDEN_DOCUMENTED: Mapping[Kind, str] = {
    kind: "".join(char if char == "-" else f"\\u{ord(char):04x}" for char in controls + _HIDDEN)
    for kind, controls in _CONTROLS.items()
}
_JOINERS_DOCUMENTED = "\\u200c\\u200d"
_BREAKS = re.compile("\r\n?")
_SEEN = re.compile(f"[^\\s{_JOINERS}]")


def text_schema(
    length_min: int, length_max: int, pattern: str | None = None, kind: Kind = "line"
) -> WithJsonSchema:
    """JSON Schema of a text: its forbidden characters, and at least one visible character."""
    forbidden = _FORBIDDEN_DOCUMENTED[kind]
    some = f"[^{forbidden}]"
    found = pattern or f"^{some}*[^\\s{_JOINERS_DOCUMENTED}{forbidden}]{some}*$"
    return WithJsonSchema(
        {"type": "string", "minLength": length_min, "maxLength": length_max, "pattern": found}
    )


def id_schema(prefix: str) -> dict[str, Any]:
    """JSON Schema of a public id."""
    return {
        "type": "string",
        "pattern": f"^{prefix}_[1-9][0-9]{{0,14}}$",
        "maxLength": len(prefix) + 17,
        "examples": [f"{prefix}_17"],
    }


class Strict(BaseModel):
    """Base of request models: unknown fields are refused, nothing is converted.

    Numbers and times follow the grammar of literals.py. pydantic alone accepts `"1795967293"` and a blank instead of
    the T as times, and `1_0` in a query as ten, and refuses `1.0` where the documents say `integer`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the model, with our readers before every number and time."""
        found = handler(source)
        put_readers(handler.resolve_ref_schema(found))
        return found


def plain(length_min: int, length_max: int, *, strip: bool = True, kind: Kind = "line") -> BeforeValidator:
    """Validator of a visible text with this many characters, as sent; the result is stripped NFC."""
    forbidden = _FORBIDDEN[kind]

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        if len(value) > length_max:
            raise PydanticKnownError("string_too_long", {"max_length": length_max})
        if len(value) < length_min:
            raise PydanticKnownError("string_too_short", {"min_length": length_min})
        found = forbidden.search(value)
        if found is not None:
            raise ValueError(f"must not hold {_named(found[0])}, as character {found.start() + 1}")
        composed = unicodedata.normalize("NFC", _BREAKS.sub("\n", value) if kind == "lines" else value)
        if not strip:
            return composed
        return composed.strip() if _SEEN.search(composed) else ""

    return BeforeValidator(read)


def _named(char: str) -> str:
    """The Unicode name of an invisible character, so that a person can find it."""
    what = (
        "a line break"
        if char in "\r\n"
        else "a control character"
        if char < " "
        else "an invisible character"
    )
    return f"{what} (U+{ord(char):04X})"


def _number_of(prefix: str) -> BeforeValidator:
    """Validator that converts a public id of this kind into its number."""

    def read(value: object) -> int:
        number = ids.parse_id(prefix, value) if isinstance(value, str) else None
        if number is None:
            raise ValueError(f"must be an id such as {prefix}_17")
        return number

    documented = Annotated[str, WithJsonSchema(id_schema(prefix))]
    return BeforeValidator(read, json_schema_input_type=documented)


StoreId = Annotated[int, _number_of(ids.STORE)]
ProductId = Annotated[int, _number_of(ids.PRODUCT)]
ZoneId = Annotated[int, _number_of(ids.ZONE)]
DriverId = Annotated[int, _number_of(ids.DRIVER)]
OrderId = Annotated[int, _number_of(ids.ORDER)]
EventId = Annotated[int, _number_of(ids.EVENT)]
JobId = Annotated[int, _number_of(ids.JOB)]

Name = Annotated[str, StringConstraints(min_length=1, max_length=80), plain(1, 80), text_schema(1, 80)]
ProductName = Annotated[
    str, StringConstraints(min_length=1, max_length=120), plain(1, 120), text_schema(1, 120)
]
Address = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    plain(1, 200, kind="lines"),
    text_schema(1, 200, kind="lines"),
]
Notes = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500),
    plain(1, 500, kind="lines"),
    text_schema(1, 500, kind="lines"),
]
# A text for the driver, not for dialling software.
Phone = Annotated[str, StringConstraints(max_length=30, pattern=r"^\+?[0-9][0-9 ()./-]{3,27}$")]
# A tenth of a millimetre. Smaller values are noise, whose squares Postgres refuses to compute (underflow).
DEGREES_MIN = 1e-9


def _no_noise(degrees: float) -> float:
    return 0.0 if abs(degrees) < DEGREES_MIN else degrees


Lat = Annotated[float, Field(ge=-90, le=90), AfterValidator(_no_noise)]
Lon = Annotated[float, Field(ge=-180, le=180), AfterValidator(_no_noise)]


def _place(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = value.split(",", 2)
    try:
        lat, lon = (number_of(part) for part in parts)
    except ValueError:
        raise ValueError("must be lat,lon, two numbers such as 52.52,13.405") from None
    if abs(lat) > 90 or abs(lon) > 180:
        raise ValueError("must be lat,lon in degrees: lat from -90 to 90, lon from -180 to 180")
    return _no_noise(lat), _no_noise(lon)


# A place in a query: longer than two numbers of the longest kind and a comma.
_PLACE_LENGTH_MAX = 2 * NUMBER_LENGTH_MAX + 1
LatLon = Annotated[
    tuple[float, float],
    BeforeValidator(_place),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": _PLACE_LENGTH_MAX,
            "pattern": f"^{NUMBER_PATTERN},{NUMBER_PATTERN}$",
            "examples": ["52.52,13.405"],
        }
    ),
]
# A moment, with its offset from UTC.
Time = Annotated[
    AwareDatetime, WithJsonSchema({"type": "string", "format": "date-time", "maxLength": TIME_LENGTH_MAX})
]
_NO_CODE = _FORBIDDEN_DOCUMENTED["code"]


# No sensor of a phone reports more, not even in error.
READING_MAX = 1e9


def _reading(least: float, most: float) -> BeforeValidator:
    """Validator of an optional sensor value; a nonsensical number (iOS says -1 for "unknown") counts as none."""

    def read(value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= READING_MAX:
            return value if least <= value <= most else None
        return value

    return BeforeValidator(read)


_Number = Annotated[float, Field(ge=-READING_MAX, le=READING_MAX)]
# Up to half round the globe: a phone may report an accuracy of 200 km, and its position is then ignored.
Metres = Annotated[_Number | None, _reading(0, 20_037_508)]
MetresPerSecond = Annotated[_Number | None, _reading(0, 200)]
# One @, no spaces, text on both sides; only a mail can prove that the mailbox exists.
Email = Annotated[
    str,
    StringConstraints(min_length=3, max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s.][^@\s]{0,188}$"),
    plain(3, 254, strip=False, kind="code"),
    text_schema(3, 254, rf"^[^@\s{_NO_CODE}]{{1,64}}@[^@\s.{_NO_CODE}][^@\s{_NO_CODE}]{{0,188}}$"),
]
Password = Annotated[
    str,
    StringConstraints(min_length=8, max_length=128),
    plain(8, 128, strip=False),
    text_schema(8, 128, f"^[^{_FORBIDDEN_DOCUMENTED['line']}]*$"),
]
OfferId = Annotated[
    str, StringConstraints(max_length=40, pattern=r"^(ofr|rnd)_[1-9][0-9]{0,15}_[1-9][0-9]{0,8}$")
]
Pin = Annotated[str, StringConstraints(min_length=4, max_length=4, pattern=r"^[0-9]{4}$")]
TripId = Annotated[str, StringConstraints(max_length=40, pattern=r"^trp_[1-9][0-9]{0,15}_[1-9][0-9]{0,8}$")]
Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    plain(1, 200, kind="lines"),
    text_schema(1, 200, kind="lines"),
]
DeclineReason = Annotated[
    Reason,
    Field(
        description=f"Best one of {', '.join(DECLINE_REASONS)}; these are counted. Other words are kept, too."
    ),
]
