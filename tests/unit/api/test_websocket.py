"""Texts are heard where they are read; these tests fail when aiohttp's reader works differently."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType
from aiohttp.http import WebSocketReader

from api.feed.feed_socket import CONGESTED_BYTES
from api.feed.frame_limits import FrameMeter
from api.feed.websocket import _Frames
from tests.support.waiting import turn


def masked(opcode: int, text: bytes) -> bytes:
    """A frame of a client, with a mask that changes nothing."""
    return bytes((0x80 | opcode, 0x80 | len(text))) + bytes(4) + text


class Line:
    """What comes in is heard, or waits in the queue; what goes out is `sent`."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        protocol: Any = SimpleNamespace(
            pause_reading=lambda: None, resume_reading=lambda: None, close=lambda: None
        )
        self.unread_bytes = 0
        self.sent: list[bytes] = []
        transport = SimpleNamespace(
            is_closing=lambda: False, write=self.sent.append,
            get_write_buffer_size=lambda: self.unread_bytes,
        )  # fmt: skip
        self.meter = FrameMeter(protocol, loop, lambda: None)
        self.queue = _Frames(self.meter, 1024, transport, loop=loop)
        self.meter.reader = WebSocketReader(self.queue, 1024, compress=False, decode_text=True)
        self.texts: list[str | None] = []

    def heard(self, text: str | None) -> None:
        self.texts.append(text)

    def flooded(self) -> None:
        raise AssertionError

    def listen(self) -> None:
        self.queue.listener = self
        self.meter.release()

    def feed(self, *frames: bytes) -> None:
        self.meter.feed_data(b"".join(frames))


@pytest.fixture
async def line() -> Line:
    return Line()


async def test_texts_are_heard_in_the_call_that_reads_them(line: Line) -> None:
    line.listen()
    line.feed(masked(1, b"one"), masked(1, b"two"))
    assert line.texts == ["one", "two"]


async def test_bytes_and_the_farewell_wait_in_the_queue(line: Line) -> None:
    line.listen()
    line.feed(masked(2, b"bytes"))
    assert (await line.queue.read()).type is WSMsgType.BINARY
    line.feed(masked(8, b"\x03\xe8"))
    assert (await line.queue.read()).type is WSMsgType.CLOSE
    assert line.texts == []


async def test_after_the_first_text_nothing_is_read_until_somebody_listens(line: Line) -> None:
    line.feed(masked(1, b"one"), masked(1, b"two"), masked(9, b""))
    assert [(await line.queue.read()).data, line.sent, line.texts] == ["one", [], []]
    line.listen()
    await turn()
    assert (line.texts, len(line.sent)) == (["two", None], 1)


async def test_no_text_passes_another_that_still_waits(line: Line) -> None:
    line.feed(masked(2, b"one"))
    line.queue.listener = line
    line.meter.release()
    await turn()
    line.feed(masked(1, b"two"))
    assert [(await line.queue.read()).data, (await line.queue.read()).data] == [b"one", "two"]
    line.feed(masked(1, b"three"))
    assert line.texts == ["three"]


async def test_ping_is_answered_where_it_is_read_and_counts_as_a_sign_of_life(line: Line) -> None:
    line.listen()
    line.feed(masked(9, b"x"), masked(10, b""))
    assert (line.sent, line.texts) == ([b"\x8a\x01x"], [None, None])


async def test_ping_of_a_client_that_reads_nothing_is_not_answered(line: Line) -> None:
    line.unread_bytes = CONGESTED_BYTES + 1
    line.feed(masked(9, b"x"))
    assert line.sent == []


async def test_listener_that_fails_does_not_end_the_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str | None] = []

    def fail(text: str | None) -> None:
        heard.append(text)
        raise RuntimeError

    monkeypatch.setattr(line, "heard", fail)
    line.listen()
    line.feed(masked(1, b"one"), masked(1, b"two"))
    assert heard == ["one", "two"]


async def test_who_leaves_hears_the_farewell_only(line: Line) -> None:
    line.queue.leaving = True
    line.feed(masked(1, b"one"), masked(2, b"two"), masked(9, b""), masked(8, b"\x03\xe8"))
    assert ((await line.queue.read()).type, line.sent) == (WSMsgType.CLOSE, [])
