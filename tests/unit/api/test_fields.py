"""Whatever a field takes, the column behind it takes: the fields are at least as strict."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo

from api.contract import fields
from api.contract.fields import Strict
from api.feed import frames
from api.http import pagination
from api.rest import drivers, order_creation, products, stores, users, zones

INT32, INT64 = 2**31 - 1, 2**63 - 1
NUMBER_MAX = 2**53 - 1
BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI", "BN"}


def model_of(kind: Any) -> type[BaseModel]:
    """A body with one field: of this type, or like this field of another model."""
    definition: Any = (kind.annotation, kind) if isinstance(kind, FieldInfo) else (kind, ...)
    return create_model("Probe", __base__=Strict, value=definition)


def read(model: type[BaseModel], raw: str) -> Any:
    """What the field makes of a JSON text; ValidationError when it takes it not."""
    return model.model_validate_json(f'{{"value": {raw}}}', strict=True).model_dump()["value"]


# -- texts ------------------------------------------------------------------------------------------------

# Name: type, and the least and most characters of its column.
TEXTS: dict[str, tuple[Any, int, int]] = {
    "name": (fields.Name, 1, 80),
    "product name": (fields.ProductName, 1, 120),
    "address": (fields.Address, 1, 200),
    "notes": (fields.Notes, 1, 500),
    "reason": (fields.Reason, 1, 200),
    "e-mail": (fields.Email, 3, 254),
    "password": (fields.Password, 8, 128),
    "currency": (products.Price.model_fields["currency"], 3, 3),
    "offer id": (fields.OfferId, 7, 30),
    "key": (frames.Key, 1, 255),
}
MODELS = {name: model_of(kind) for name, (kind, *_) in TEXTS.items()}
# What people write, and of it what may have several lines.
WRITTEN = ("name", "product name", "address", "notes", "reason", "password")
LINES = ("address", "notes", "reason")
JOINERS = "\u200c\u200d"


def column_takes(text: str, least: int, most: int, allowed: str) -> bool:
    """True when a `text` column with this CHECK takes the text, and a person sees what it holds."""
    encodable = text.encode("utf-8", "ignore").decode() == text
    looked_at = [char for char in text if char not in allowed]
    categories = {unicodedata.category(char) for char in looked_at}
    directions = {unicodedata.bidirectional(char) for char in looked_at}
    return (
        encodable
        and least <= len(text) <= most
        and not categories & {"Cc", "Cs", "Zl", "Zp"}
        and not directions & BIDI
        and unicodedata.is_normalized("NFC", text)
    )


# Letters, what NFC makes longer, what nobody sees, and everything else.
_letters = st.sampled_from(
    "ab@.é\u0301\ufb2c\u0344\u200c\u200d\n\r \u3000\x00\x1f\x7f\x85\u00ad\u200b\u202e\u2028\u2066\ufeff"
)
_texts = st.text(_letters | st.characters(), max_size=20) | st.text("a@b.c\ufb2c", min_size=60, max_size=520)


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=150, deadline=None, database=None)
@given(text=_texts)
@example(text="\ufb2c" * 80)
@example(text="\u0958@" + "\ufb2c" * 100)
@example(text="a" * 8 + "\ufb2c" * 120)
def test_what_a_text_field_takes_its_column_takes(name: str, text: str) -> None:
    _, least, most = TEXTS[name]
    try:
        value = read(MODELS[name], json.dumps(text))
    except ValidationError:
        return
    allowed = JOINERS + ("\n" if name in LINES else "") if name in WRITTEN else ""
    assert column_takes(value, least, most, allowed), ascii(value)
    assert name not in WRITTEN or value.strip(JOINERS + " \n"), "something is there to be seen"


@pytest.mark.parametrize("name", ["name", "product name", "address", "notes", "reason", "password"])
def test_a_text_is_measured_as_it_was_sent_and_as_it_is_stored(name: str) -> None:
    _, least, most = TEXTS[name]
    assert read(MODELS[name], json.dumps("e\u0301" * (most // 2))) == "é" * (most // 2)
    sent_too_long = ("e\u0301" * most, " " + "x" * most)
    stored_too_long = "\ufb2c" * (most // 3 + 1)
    # Composition makes two characters of this one.
    sent_too_short = "\u0958" * (least - 1)
    for text in (*sent_too_long, stored_too_long, sent_too_short):
        with pytest.raises(ValidationError):
            read(MODELS[name], json.dumps(text))


def test_texts_of_the_world_are_taken() -> None:
    for text in (
        "Zoë O'Brien-Nuñez",
        "山田 太郎",
        "Θεόδωρος",
        "مريم",
        "नमस्ते",
        "👍🏽 ❤️",
        "3rd floor, #4; left",
    ):
        assert read(MODELS["notes"], json.dumps(text)) == unicodedata.normalize("NFC", text)


# Persian, Hindi, Malayalam, a family, a pirate's flag.
JOINED = (
    "می\u200cخواهم",
    "क्\u200dष",
    "ന്\u200d",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f3f4\u200d\u2620\ufe0f",
)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("text", JOINED)
def test_joiners_are_letters_where_a_person_writes(name: str, text: str) -> None:
    written = f"{text} and more"
    assert read(MODELS[name], json.dumps(written)) == written
    assert re.search(documented(name)["pattern"], written)


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "password"])
def test_a_text_of_joiners_and_breaks_is_empty(name: str) -> None:
    for text in ("\u200d", " \u200c \u200d ", "\n", " \r\n"):
        with pytest.raises(ValidationError):
            read(MODELS[name], json.dumps(text))
        assert not re.search(documented(name)["pattern"], text)


@pytest.mark.parametrize("name", TEXTS)
def test_line_breaks_are_taken_where_lines_are_written_and_nowhere_else(name: str) -> None:
    for sent in ("12 High St\nThird floor", "12 High St\r\nThird floor", "12 High St\rThird floor"):
        if name in LINES:
            assert read(MODELS[name], json.dumps(sent)) == "12 High St\nThird floor"
        else:
            with pytest.raises(ValidationError):
                read(MODELS[name], json.dumps(sent))
        assert bool(re.search(documented(name)["pattern"], sent)) == (name in LINES)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize(
    "char", "\t\x00\x1b\x7f\x85\u061c\u200b\u200e\u200f\u2028\u202a\u202e\u2066\u2069\ufeff"
)
def test_what_turns_or_hides_a_text_stays_out_of_it_and_is_named(name: str, char: str) -> None:
    text = f"12 High St{char}reet"
    with pytest.raises(ValidationError, match=f"U\\+{ord(char):04X}.*as character 11"):
        read(MODELS[name], json.dumps(text))
    assert not re.search(documented(name)["pattern"], text)


def documented(name: str) -> Any:
    """The schema that documents show of the field."""
    return MODELS[name].model_json_schema()["properties"]["value"]


def test_texts_are_stripped_but_passwords_are_not() -> None:
    assert read(MODELS["name"], '"  Anna "') == "Anna"
    assert read(MODELS["password"], '"  secret  "') == "  secret  "
    with pytest.raises(ValidationError, match="at least 1 character"):
        read(MODELS["name"], '"\u00a0 "')


@pytest.mark.parametrize(
    ("name", "text"),
    [("e-mail", "a@b.example"), ("currency", "EUR"), ("offer id", "ofr_1_1"), ("key", "k" * 20)],
)
def test_a_text_for_programs_is_taken_as_documented_and_not_mended(name: str, text: str) -> None:
    assert read(MODELS[name], json.dumps(text)) == text
    for around in (f" {text}", f"{text}\u00a0"):
        with pytest.raises(ValidationError):
            read(MODELS[name], json.dumps(around))


@pytest.mark.parametrize("email", ["a@b", "first.last+tag@sub.example", "用户@例子.example"])
def test_ordinary_addresses_are_taken(email: str) -> None:
    assert read(MODELS["e-mail"], json.dumps(email)) == email


# -- numbers ----------------------------------------------------------------------------------------------

# Name: type, and the least and most that the column (or the number that JSON clients read) holds.
INTEGERS: dict[str, tuple[Any, int, int]] = {
    "preparation_s": (stores.Preparation, 0, 86_400),
    "delivery_radius_m": (stores.DeliveryRadius, 1, 1_000_000),
    "stock": (products.Stock, 0, 1_000_000_000),
    "low_stock": (products.LowStock, 0, 1_000_000_000),
    "amount_minor": (products.Price.model_fields["amount_minor"], 0, 1_000_000_000),
    "wave_size": (zones.WaveSize, 1, 50),
    "offer_ttl_s": (zones.OfferTtl, 1, 600),
    "offer_distance_max_m": (zones.OfferDistance, 1, 1_000_000),
    "release_pause_s": (zones.ReleasePause, 0, 86_400),
    "give_up_after_s": (zones.GiveUpAfter, 1, 604_800),
    "driver_pay_minor": (zones.DriverPay, 0, 1_000_000_000),
    "unassigned_after_s": (zones.UnassignedAfter, 1, 604_800),
    "capacity": (users.Capacity, 1, 20),
    "quantity": (order_creation.Line.model_fields["quantity"], 1, 99),
    "limit": (pagination.Page.model_fields["limit"], 1, 100),
    "cseq": (drivers.Location.model_fields["cseq"], 0, NUMBER_MAX),
    "seq": (frames.Seq, 0, NUMBER_MAX),
}

NUMBERS = {name: model_of(kind) for name, (kind, *_) in INTEGERS.items()}
_numbers = (
    st.integers(-5, 130)
    | st.integers()
    | st.sampled_from([INT32, INT32 + 1, INT64, INT64 + 1, NUMBER_MAX + 1])
)


@pytest.mark.parametrize("name", INTEGERS)
@settings(max_examples=100, deadline=None, database=None)
@given(number=_numbers)
def test_what_an_integer_field_takes_its_column_takes(name: str, number: int) -> None:
    _, least, most = INTEGERS[name]
    try:
        value = read(NUMBERS[name], str(number))
    except ValidationError:
        assert not least <= number <= most
    else:
        assert (value, least <= value <= most) == (number, True)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("raw", ["1.0", "1e0", "10E-1", "1.000000"])
def test_an_integer_is_one_however_it_is_written(name: str, raw: str) -> None:
    assert repr(read(NUMBERS[name], raw)) == "1", "JSON Schema calls 1.0 an integer, and so do the documents"


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("raw", ["1.5", "1e-1", "1e300", '"1"', '"1.0"', "true", "[1]", "{}", "NaN"])
def test_an_integer_field_takes_nothing_but_integers(name: str, raw: str) -> None:
    with pytest.raises(ValidationError):
        read(NUMBERS[name], raw)


DEGREES = {"lat": (fields.Lat, 90), "lon": (fields.Lon, 180)}


@pytest.mark.parametrize("name", DEGREES)
@settings(max_examples=100, deadline=None, database=None)
@given(value=st.floats(width=64))
@example(value=5e-324)
@example(value=-0.0)
@example(value=90.00000000000001)
def test_what_a_degree_field_takes_is_finite_and_on_the_map(name: str, value: float) -> None:
    kind, most = DEGREES[name]
    try:
        found = read(model_of(kind), json.dumps(value))
    except ValidationError:
        assert not abs(value) <= most
    else:
        assert abs(found) <= most


# -- ids --------------------------------------------------------------------------------------------------

IDS = {
    "sto": fields.StoreId, "prd": fields.ProductId, "zon": fields.ZoneId, "drv": fields.DriverId, "ord": fields.OrderId,
}  # fmt: skip
_tails = st.text("0123456789_-+. e１٣\n", max_size=20) | st.integers(-5, 2**64).map(str)


@pytest.mark.parametrize("prefix", IDS)
@settings(max_examples=100, deadline=None, database=None)
@given(head=st.sampled_from(["sto", "prd", "zon", "drv", "ord", "usr", "", "STO"]), tail=_tails)
def test_what_an_id_field_takes_is_the_number_that_it_names(prefix: str, head: str, tail: str) -> None:
    text = f"{head}_{tail}"
    try:
        number = read(model_of(IDS[prefix]), json.dumps(text))
    except ValidationError:
        return
    assert 1 <= number <= NUMBER_MAX
    assert text == f"{prefix}_{number}"


@pytest.mark.parametrize(
    ("number", "fits"), [(1, True), (NUMBER_MAX, True), (NUMBER_MAX + 1, False), (0, False)]
)
def test_an_id_reaches_from_1_to_2_to_the_53rd(number: int, fits: bool) -> None:
    def take() -> Any:
        return read(model_of(fields.OrderId), f'"ord_{number}"')

    _expect(take, number, fits)


def _expect(take: Callable[[], Any], value: object, fits: bool) -> None:
    if fits:
        assert take() == value
    else:
        with pytest.raises(ValidationError):
            take()


def test_unknown_fields_are_refused_everywhere() -> None:
    """A model that forgot it would let a customer set what is not the customer's."""
    pending, seen = [Strict], set()
    while pending:
        model = pending.pop()
        assert model.model_config.get("extra") == "forbid", model
        assert model not in seen
        seen.add(model)
        pending += model.__subclasses__()
    assert len(seen) > 30
