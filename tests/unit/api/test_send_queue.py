"""Frames as they go over the line."""

from __future__ import annotations

import orjson
import pytest

from api.feed.send_queue import BYTES_MAX, Overflow, SendQueue


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
    send_queue = SendQueue()
    send_queue.put(b"x" * size)
    assert frames(send_queue.take(200_000)) == [b"x" * size]


def test_reliable_frames_leave_first_and_together() -> None:
    send_queue = SendQueue()
    send_queue.put_latest("board", {"n": 1})
    send_queue.put_latest("board", {"n": 2})
    send_queue.put({"seq": 1})
    send_queue.put({"seq": 2})
    texts = [orjson.loads(text) for text in frames(send_queue.take(1_000))]
    assert texts == [{"seq": 1}, {"seq": 2}, {"n": 2}]
    assert not send_queue


def test_packet_holds_one_frame_at_least_and_ends_when_it_is_full() -> None:
    send_queue = SendQueue()
    for _ in range(3):
        send_queue.put(b"y" * 100)
    assert len(frames(send_queue.take(1))) == 1
    assert len(frames(send_queue.take(150))) == 2
    assert send_queue.take(150) == b""


def test_what_a_client_does_not_read_is_bounded() -> None:
    send_queue = SendQueue()
    for _ in range(BYTES_MAX // 2_000):
        send_queue.put(b"z" * 2_000)
    with pytest.raises(Overflow):
        send_queue.put(b"z" * 2_000)
