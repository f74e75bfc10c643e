"""Field types that are at least as strict as the columns behind them.

What a text may not hold: control characters (Postgres refuses NUL), lone surrogates, and characters
that change what a person sees: bidirectional controls, zero-width ones, line separators.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from dispatch.domain import ids

_FORBIDDEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


class Strict(BaseModel):
    """A request: unknown fields are refused, nothing is converted, texts are stripped."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False)


def _plain(text: str) -> str:
    if _FORBIDDEN.search(text):
        raise ValueError("holds a control or invisible character")
    return unicodedata.normalize("NFC", text)


# A visible text, NFC.
Plain = AfterValidator(_plain)


def _number_of(prefix: str) -> BeforeValidator:
    """Reads a public id of this kind into its number."""

    def read(value: object) -> int:
        number = ids.parse_id(prefix, value) if isinstance(value, str) else None
        if number is None:
            raise ValueError(f"must be an id such as {prefix}_17")
        return number

    return BeforeValidator(read, json_schema_input_type=str)


StoreId = Annotated[int, _number_of(ids.STORE)]
ProductId = Annotated[int, _number_of(ids.PRODUCT)]
ZoneId = Annotated[int, _number_of(ids.ZONE)]
DriverId = Annotated[int, _number_of(ids.DRIVER)]
OrderId = Annotated[int, _number_of(ids.ORDER)]

Name = Annotated[str, StringConstraints(min_length=1, max_length=80), Plain]
ProductName = Annotated[str, StringConstraints(min_length=1, max_length=120), Plain]
Address = Annotated[str, StringConstraints(min_length=1, max_length=200), Plain]
Notes = Annotated[str, StringConstraints(min_length=1, max_length=500), Plain]
Lat = Annotated[float, Field(ge=-90, le=90)]
Lon = Annotated[float, Field(ge=-180, le=180)]
# One @, no spaces, something on both sides; whether the mailbox exists only a mail can tell.
Email = Annotated[
    str,
    StringConstraints(min_length=3, max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s.][^@\s]{0,188}$"),
    Plain,
]
Password = Annotated[
    str, StringConstraints(min_length=8, max_length=128, strip_whitespace=False), AfterValidator(_plain)
]
OfferId = Annotated[str, StringConstraints(pattern=r"^(ofr|rnd)_[1-9][0-9]{0,15}_[1-9][0-9]{0,8}$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200), Plain]
