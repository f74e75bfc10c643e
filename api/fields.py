"""Field types that are at least as strict as the columns behind them.

What a text may not hold: control characters (Postgres refuses NUL), lone surrogates, and characters
that change what a person sees without being seen: bidirectional controls, line separators, and all that
Unicode calls ignorable (zero-width ones, fillers, tags), except the selectors that colour emoji.

The length of a text is checked as it was sent, which is what the documents promise, and again in NFC and
stripped: NFC makes some texts three times as long, and the columns count what is stored.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticKnownError

from dispatch.domain import ids

_FORBIDDEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# The same for documents, as every dialect of regular expressions reads it: without surrogates, which JSON in
# UTF-8 does not have, and without what lies beyond the first plane, which some dialects see as surrogates.
_FORBIDDEN_DOCUMENTED = (
    "\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f"
    "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\ufffe\\uffff"
)


def text_schema(length_min: int, length_max: int, pattern: str | None = None) -> WithJsonSchema:
    """How a text is documented: what it may not hold, and that something is left of it when stripped."""
    some = f"[^{_FORBIDDEN_DOCUMENTED}]"
    found = pattern or f"^{some}*[^\\s{_FORBIDDEN_DOCUMENTED}]{some}*$"
    return WithJsonSchema(
        {"type": "string", "minLength": length_min, "maxLength": length_max, "pattern": found}
    )


def id_schema(prefix: str) -> dict[str, Any]:
    """How a public id is documented."""
    return {
        "type": "string",
        "pattern": f"^{prefix}_[1-9][0-9]{{0,14}}$",
        "maxLength": len(prefix) + 17,
        "examples": [f"{prefix}_17"],
    }


def _digits(value: object) -> object:
    """A whole number in a query: digits and nothing else, though Python would read more."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("must be digits")
    return value


Digits = BeforeValidator(_digits)


class Strict(BaseModel):
    """A request: unknown fields are refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def plain(length_min: int, length_max: int, *, strip: bool = True) -> BeforeValidator:
    """A visible text of so many characters, as sent, becomes NFC without spaces around it."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        if len(value) > length_max:
            raise PydanticKnownError("string_too_long", {"max_length": length_max})
        if len(value) < length_min:
            raise PydanticKnownError("string_too_short", {"min_length": length_min})
        if _FORBIDDEN.search(value):
            raise ValueError("holds a control or invisible character")
        composed = unicodedata.normalize("NFC", value)
        return composed.strip() if strip else composed

    return BeforeValidator(read)


def _number_of(prefix: str) -> BeforeValidator:
    """Reads a public id of this kind into its number."""

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

Name = Annotated[str, StringConstraints(min_length=1, max_length=80), plain(1, 80), text_schema(1, 80)]
ProductName = Annotated[
    str, StringConstraints(min_length=1, max_length=120), plain(1, 120), text_schema(1, 120)
]
Address = Annotated[str, StringConstraints(min_length=1, max_length=200), plain(1, 200), text_schema(1, 200)]
Notes = Annotated[str, StringConstraints(min_length=1, max_length=500), plain(1, 500), text_schema(1, 500)]
# A tenth of a millimetre. Below it stands nothing but noise, whose squares Postgres refuses to compute (underflow).
DEGREES_MIN = 1e-9


def _no_noise(degrees: float) -> float:
    return 0.0 if abs(degrees) < DEGREES_MIN else degrees


Lat = Annotated[float, Field(ge=-90, le=90), AfterValidator(_no_noise)]
Lon = Annotated[float, Field(ge=-180, le=180), AfterValidator(_no_noise)]
# One @, no spaces, something on both sides; whether the mailbox exists only a mail can tell.
Email = Annotated[
    str,
    StringConstraints(min_length=3, max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s.][^@\s]{0,188}$"),
    plain(3, 254, strip=False),
    text_schema(
        3,
        254,
        rf"^[^@\s{_FORBIDDEN_DOCUMENTED}]{{1,64}}@[^@\s.{_FORBIDDEN_DOCUMENTED}][^@\s{_FORBIDDEN_DOCUMENTED}]{{0,188}}$",
    ),
]
Password = Annotated[
    str,
    StringConstraints(min_length=8, max_length=128),
    plain(8, 128, strip=False),
    text_schema(8, 128, f"^[^{_FORBIDDEN_DOCUMENTED}]*$"),
]
OfferId = Annotated[
    str, StringConstraints(max_length=40, pattern=r"^(ofr|rnd)_[1-9][0-9]{0,15}_[1-9][0-9]{0,8}$")
]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200), plain(1, 200), text_schema(1, 200)]
