"""Frames of every kind count and weigh, and are read in slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from api.feed.frame_limits import (
    BURST_FRAMES,
    FRAMES_PER_S,
    PATIENCE_S,
    SLICE_FRAMES,
    WEIGHT_BYTES,
    FrameMeter,
    frame_bytes,
)


def frame(opcode: int, size: int = 0, *, fin: bool = True, masked: bool = True) -> bytes:
    """A frame of a client."""
    first = (0x80 if fin else 0) | opcode
    bit, mask = (0x80, bytes(4)) if masked else (0, b"")
    if size < 126:
        return bytes((first, bit | size)) + mask + bytes(size)
    if size < 65536:
        return bytes((first, bit | 126)) + size.to_bytes(2, "big") + mask + bytes(size)
    return bytes((first, bit | 127)) + size.to_bytes(8, "big") + mask + bytes(size)


KINDS = {
    "ping": frame(9),
    "pong": frame(10),
    "text": frame(1, 20),
    "binary": frame(2, 20),
    "empty continuation": frame(0, fin=False),
    "without a mask": frame(9, masked=False),
}


class Line:
    """A connection, a loop whose time stands until it is told to go on, and the reader behind the meter."""

    def __init__(self) -> None:
        self.now = 100.0
        self.read = b""
        self.is_paused = self.is_closed = False
        self.floods = 0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.meter = FrameMeter(self, self, self._flooded)
        self.meter.reader = self  # type: ignore[assignment]

    def _flooded(self) -> None:
        self.floods += 1

    # the reader
    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.read += data
        return False, b""

    def feed_eof(self) -> None:
        self.is_closed = True

    # the connection
    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    # the loop
    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> Any:
        return self.call_later(0.0, callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        entry = (self.now + delay_s, callback)
        self.due.append(entry)
        return self

    def cancel(self) -> None:
        self.due.clear()

    def turn(self) -> bool:
        """The next callback, in its time; False when there is none."""
        if not self.due:
            return False
        at, callback = self.due.pop(0)
        self.now = max(self.now, at)
        callback()
        return True

    def within(self, seconds: float) -> None:
        """All callbacks until then."""
        until = self.now + seconds
        while self.due and self.due[0][0] <= until:
            self.turn()
        self.now = until


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_frame_of_any_kind_counts_and_what_is_beyond_the_rate_waits_in_order(line: Line, kind: bytes) -> None:
    sent = kind * 300
    line.meter.feed_data(sent)
    line.within(0.0)
    assert len(line.read) == BURST_FRAMES * len(kind)
    assert line.is_paused
    line.within(1.0)
    # The first of the second may come a moment early.
    assert 0 <= len(line.read) / len(kind) - BURST_FRAMES - FRAMES_PER_S <= 1
    while line.turn():
        pass
    assert (line.read, line.is_paused, line.floods) == (sent, False, 0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_more_than_a_slice_is_read_in_one_turn(line: Line, kind: bytes) -> None:
    line.meter.feed_data(kind * 100)
    sizes, before = [len(line.read) // len(kind)], len(line.read)
    while line.turn():
        sizes.append((len(line.read) - before) // len(kind))
        before = len(line.read)
    assert (max(sizes), sum(sizes)) == (SLICE_FRAMES, 100)


def test_large_frame_weighs_more_than_a_small_one(line: Line) -> None:
    large = frame(1, 4 * WEIGHT_BYTES - 100)
    line.meter.feed_data(large * 4)
    line.within(0.0)
    assert len(line.read) == 4 * len(large)
    line.meter.feed_data(frame(9) * 100)
    line.within(0.0)
    assert len(line.read) == 4 * len(large) + (100 - 4 * 4) * len(frame(9))


def test_frame_of_several_commands_is_charged_for_each(line: Line) -> None:
    ping = frame(9)
    line.meter.feed_data(ping)
    line.meter.charge(19)
    line.meter.feed_data(ping * 100)
    line.within(0.0)
    assert len(line.read) == (100 - 19) * len(ping)


@pytest.mark.parametrize("size", [0, 125, 126, 5000, 65536])
@pytest.mark.parametrize("piece", [1, 7])
def test_frame_is_counted_once_however_it_is_cut(line: Line, size: int, piece: int) -> None:
    sent = frame(1, size) * 3
    for at in range(0, len(sent), piece):
        line.meter.feed_data(sent[at : at + piece])
    while line.turn():
        pass
    assert line.read == sent
    assert frame_bytes(sent, 0) == len(frame(1, size))


def test_stranger_who_sends_far_more_than_a_hello_is_not_heard_any_more(line: Line) -> None:
    line.meter.feed_data(frame(9) * 20_000)
    line.within(0.0)
    assert (line.floods, line.is_paused) == (1, True)
    assert len(line.read) <= BURST_FRAMES * len(frame(9))
    heard = line.read
    line.meter.feed_data(frame(1, 20))
    line.within(60.0)
    assert (line.read, line.floods, line.is_paused) == (heard, 1, True)


def test_phone_that_empties_a_long_outbox_is_heard_to_the_end(line: Line) -> None:
    line.meter.trust()
    sent = frame(1, 110) * 1000
    line.meter.feed_data(sent)
    while line.turn():
        pass
    assert (line.read, line.floods) == (sent, 0)


def test_client_that_is_over_the_rate_without_a_break_is_not_heard_any_more(line: Line) -> None:
    line.meter.trust()
    line.meter.feed_data(frame(9) * 50_000)
    began = line.now
    while not line.floods:
        assert line.turn()
    assert PATIENCE_S < line.now - began < PATIENCE_S + 1
    assert len(line.read) <= (BURST_FRAMES + FRAMES_PER_S * (PATIENCE_S + 1)) * len(frame(9))


def test_break_gives_new_patience(line: Line) -> None:
    line.meter.trust()
    for _ in range(10):
        line.meter.feed_data(frame(9) * 600)
        line.within(PATIENCE_S / 2)
    assert line.floods == 0


def test_who_is_held_waits_and_goes_on_in_order(line: Line) -> None:
    line.meter.hold()
    sent = frame(1, 20) * 40
    line.meter.feed_data(sent)
    assert (line.read, line.is_paused) == (b"", True)
    line.meter.release()
    assert line.read == b""
    while line.turn():
        pass
    assert (line.read, line.is_paused) == (sent, False)


def test_full_queue_is_not_fed_until_it_has_room(line: Line) -> None:
    line.meter.pause_reading()
    line.meter.feed_data(frame(1, 20))
    assert line.read == b""
    line.meter.resume_reading()
    line.within(0.0)
    assert line.read == frame(1, 20)


def test_lost_connection_has_nothing_left_to_do(line: Line) -> None:
    line.meter.feed_data(frame(9) * 300)
    line.meter.feed_eof()
    assert (line.due, line.is_closed) == ([], True)
