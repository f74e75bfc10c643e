"""Texts are taken where they are read; these tests fail when aiohttp's reader works differently."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType
from aiohttp.http import WebSocketReader

from api.feed.socket import _Texts


def masked(opcode: int, text: bytes) -> bytes:
    """A frame of a client, with a mask that changes nothing."""
    return bytes((0x80 | opcode, 0x80 | len(text))) + bytes(4) + text


class Line:
    """What comes in goes to `taken`, or waits in the queue."""

    def __init__(self) -> None:
        protocol: Any = SimpleNamespace(_reading_paused=False, pause_reading=lambda: None)
        self.queue = _Texts(protocol, 1024, loop=asyncio.get_running_loop())
        self.reader = WebSocketReader(self.queue, 1024, compress=False, decode_text=True)
        self.taken: list[str] = []

    def feed(self, *frames: bytes) -> None:
        self.reader.feed_data(b"".join(frames))


@pytest.fixture
async def line() -> Line:
    return Line()


async def test_texts_are_taken_in_the_call_that_reads_them(line: Line) -> None:
    line.queue.taker = line.taken.append
    line.feed(masked(1, b"one"), masked(1, b"two"))
    assert line.taken == ["one", "two"]


async def test_everything_else_waits_in_the_queue(line: Line) -> None:
    line.queue.taker = line.taken.append
    line.feed(masked(2, b"bytes"))
    assert (await line.queue.read()).type is WSMsgType.BINARY
    line.feed(masked(8, b"\x03\xe8"))
    assert (await line.queue.read()).type is WSMsgType.CLOSE
    assert line.taken == []


async def test_no_text_passes_another_that_still_waits(line: Line) -> None:
    line.feed(masked(1, b"one"))
    line.queue.taker = line.taken.append
    line.feed(masked(1, b"two"))
    assert [(await line.queue.read()).data, (await line.queue.read()).data] == ["one", "two"]
    line.feed(masked(1, b"three"))
    assert line.taken == ["three"]


async def test_taker_that_fails_does_not_end_the_line(line: Line) -> None:
    def fail(text: str) -> None:
        line.taken.append(text)
        raise RuntimeError

    line.queue.taker = fail
    line.feed(masked(1, b"one"), masked(1, b"two"))
    assert line.taken == ["one", "two"]
