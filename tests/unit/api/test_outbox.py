"""Frames as they go over the line."""

from __future__ import annotations

import orjson
import pytest

from api.feed.outbox import BYTES_MAX, Outbox, Overflow


def frames(packet: bytes) -> list[bytes]:
    """The texts of unmasked frames (RFC 6455)."""
    found = []
    while packet:
        assert packet[0] == 0x81, "a whole text frame"
        size, start = packet[1], 2
        if size == 126:
            size, start = int.from_bytes(packet[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(packet[2:10], "big"), 10
        found.append(packet[start : start + size])
        packet = packet[start + size :]
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_every_length_has_its_header(size: int) -> None:
    outbox = Outbox()
    outbox.put(b"x" * size)
    assert frames(outbox.take(200_000)) == [b"x" * size]


def test_reliable_frames_leave_first_and_together() -> None:
    outbox = Outbox()
    outbox.put_latest("board", {"n": 1})
    outbox.put_latest("board", {"n": 2})
    outbox.put({"seq": 1})
    outbox.put({"seq": 2})
    texts = [orjson.loads(text) for text in frames(outbox.take(1_000))]
    assert texts == [{"seq": 1}, {"seq": 2}, {"n": 2}]
    assert not outbox


def test_packet_holds_one_frame_at_least_and_ends_when_it_is_full() -> None:
    outbox = Outbox()
    for _ in range(3):
        outbox.put(b"y" * 100)
    assert len(frames(outbox.take(1))) == 1
    assert len(frames(outbox.take(150))) == 2
    assert outbox.take(150) == b""


def test_what_a_client_does_not_read_is_bounded() -> None:
    outbox = Outbox()
    for _ in range(BYTES_MAX // 2_000):
        outbox.put(b"z" * 2_000)
    with pytest.raises(Overflow):
        outbox.put(b"z" * 2_000)
