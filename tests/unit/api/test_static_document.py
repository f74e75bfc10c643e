"""A document is written a piece at a time, and the next one only when there is room."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp.payload import Payload
from aiohttp.test_utils import make_mocked_request

from api.docs.static_document import PIECE_BYTES, Document
from api.http.request import RequestContext
from tests.support.waiting import turn

TEXT = b"".join(b"%8d" % number for number in range(PIECE_BYTES // 2))


class Writer:
    """Takes pieces while there is room; the others wait."""

    def __init__(self, room: int) -> None:
        self.said: list[bytes] = []
        self._room = asyncio.Semaphore(room)

    async def write(self, piece: bytes) -> None:
        await self._room.acquire()
        self.said.append(piece)


def _body() -> Payload:
    context = cast(RequestContext, type("Asked", (), {"request": make_mocked_request("GET", "/")})())
    return cast(Payload, Document(TEXT).answer(context).body)


async def test_pieces_make_the_document() -> None:
    writer, body = Writer(room=100), _body()
    await body.write(cast(Any, writer))
    assert b"".join(writer.said) == TEXT
    assert max(map(len, writer.said)) == PIECE_BYTES
    assert body.size == len(TEXT)


async def test_client_that_does_not_read_is_given_no_more_than_there_is_room_for() -> None:
    writer = Writer(room=2)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(_body().write(cast(Any, writer)))
        for _ in range(20):
            await turn()
        assert writer.said == [TEXT[:PIECE_BYTES], TEXT[PIECE_BYTES : 2 * PIECE_BYTES]]
        writing.cancel()
