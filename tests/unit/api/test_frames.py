"""Frames of driver apps: each kind decodes, everything else is refused without echoing rubbish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.feed import frames
from api.feed.frames import FRAMES, BadFrame, decode_frame

PROTOCOL = (Path(frames.__file__).parent / "PROTOCOL.md").read_text()
COMMAND = {"id": 1, "key": "k"}
# One of each kind with everything in it that it may have.
EXAMPLES: dict[str, dict[str, Any]] = {
    "hello": {
        "id": 1, "ticket": "tkt_0123456789", "resume": {"epoch": "3f2a", "seq": 41},
        "device": "Pixel 9", "app_version": "1.4",
    },
    "ack": {"seq": 42},
    "ping": {"id": "a"},
    "pong": {},
    "offer.seen": {"offer_id": "ofr_17_1"},
    "offer.accept": {**COMMAND, "orders": ["ord_17"], "offer_id": "rnd_17_2"},
    "offer.decline": {**COMMAND, "orders": ["ord_17", "ord_18"], "offer_id": "ofr_17_1", "reason": "far"},
    "order.pickup": {**COMMAND, "order_id": "ord_17"},
    "order.delivery": {**COMMAND, "order_id": "ord_17"},
    "order.failure": {**COMMAND, "order_id": "ord_17", "reason": "nobody there"},
    "order.return": {**COMMAND, "order_id": "ord_17"},
    "availability": {**COMMAND, "status": "online"},
    "loc": {"cseq": 9, "lat": 52.5, "lon": 13.4, "accuracy_m": 5, "speed_mps": 3.5},
    "auth.refresh": {"id": 1, "token": "x" * 20},
}  # fmt: skip


def encoded(kind: str, **members: Any) -> bytes:
    return json.dumps({"t": kind, **members}).encode()


def refused(data: bytes) -> BadFrame:
    with pytest.raises(BadFrame) as caught:
        decode_frame(data)
    return caught.value


def test_there_is_an_example_and_a_line_in_the_protocol_of_every_frame() -> None:
    assert EXAMPLES.keys() == FRAMES.keys()
    for kind in FRAMES:
        assert f'"{kind}"' in PROTOCOL, kind


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_decodes_to_its_model(kind: str) -> None:
    frame = decode_frame(encoded(kind, **EXAMPLES[kind]))
    assert type(frame) is FRAMES[kind]
    assert get_args(FRAMES[kind].model_fields["t"].annotation) == (kind,)
    assert frame.model_fields_set == {"t", *EXAMPLES[kind]}


@pytest.mark.parametrize("kind", FRAMES)
def test_no_frame_takes_a_member_that_it_does_not_know(kind: str) -> None:
    assert refused(encoded(kind, **EXAMPLES[kind], x=1)).detail.startswith("x: ")


@pytest.mark.parametrize("kind", FRAMES)
def test_no_frame_does_without_what_it_needs(kind: str) -> None:
    for name, field in FRAMES[kind].model_fields.items():
        if field.is_required() and name != "t":
            rest = {key: value for key, value in EXAMPLES[kind].items() if key != name}
            assert refused(encoded(kind, **rest)).detail == f"{name}: is needed"


def test_ids_of_orders_become_numbers() -> None:
    frame = decode_frame(encoded("offer.accept", **COMMAND, orders=["ord_17", "ord_18"]))
    assert isinstance(frame, frames.AcceptFrame)
    assert (frame.orders, frame.offer_id) == ([17, 18], None)


# -- what an error refers to ------------------------------------------------------------------------------

GOOD_IDS = [0, 1, 2**53 - 1, "a", "x" * 64, "\0"]
BAD_IDS = [-1, 2**53, 2**64, 10**19, True, False, 1.5, 1e300, None, "", "x" * 65, [1], {"a": 1}]


@pytest.mark.parametrize("frame_id", GOOD_IDS, ids=repr)
def test_an_error_refers_to_the_id_of_the_frame(frame_id: object) -> None:
    assert refused(encoded("nope", id=frame_id)).frame_id == frame_id
    assert refused(encoded("ping", id=frame_id, x=1)).frame_id == frame_id


def test_a_whole_number_is_one_however_it_is_written() -> None:
    frame = decode_frame(b'{"t": "ack", "seq": 42.0}')
    assert frame == frames.AckFrame(t="ack", seq=42)
    assert decode_frame(b'{"t": "ping", "id": 7.0}') == frames.PingFrame(t="ping", id=7)
    assert refused(b'{"t": "ping", "id": 7.0, "x": 1}').frame_id == 7


@pytest.mark.parametrize("frame_id", BAD_IDS, ids=lambda value: repr(value)[:30])
def test_what_is_no_id_is_not_sent_back(frame_id: object) -> None:
    assert refused(encoded("nope", id=frame_id)).frame_id is None
    if frame_id is not None:
        error = refused(encoded("ping", id=frame_id))
        assert error.frame_id is None
        assert error.detail.startswith("id: "), "and no names of the library"


_members = st.dictionaries(
    st.sampled_from(["t", "id", "key", "seq", "orders", "order_id", "status", "lat", "x"]),
    st.sampled_from([*FRAMES, "k", "ord_1", "online", "\ud800", ["ord_1"]])
    | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2),
)  # fmt: skip


def answer_to(data: bytes) -> dict[str, Any]:
    """What would be sent after this message, were every frame sent back."""
    try:
        return decode_frame(data).model_dump(mode="json")
    except BadFrame as error:
        return {"id": error.frame_id, "detail": error.detail}


@settings(max_examples=300, deadline=None, database=None)
@given(_members.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30))
@example(b'{"t": "nope", "id": "\\ud800"}')
@example(b'{"t": "nope", "id": 18446744073709551616}')
@example(b"[" * 16_000)
def test_whatever_comes_is_a_frame_or_an_error_that_can_be_sent(data: bytes) -> None:
    answer = answer_to(data)
    assert orjson.loads(orjson.dumps(answer)) == answer
    assert len(answer.get("detail", "")) <= 400


@pytest.mark.parametrize(
    ("sent", "kept"), [("5.5", 5.5), ("-1", None), ("200000", 200_000.0), ("40000000", None)]
)
def test_accuracy_of_hundreds_of_kilometres_is_a_reading_and_that_of_a_planet_is_none(
    sent: str, kept: float | None
) -> None:
    frame = decode_frame(f'{{"t":"loc","cseq":1,"lat":1.0,"lon":2.0,"accuracy_m":{sent}}}'.encode())
    assert isinstance(frame, frames.LocationFrame)
    assert frame.accuracy_m == kept
