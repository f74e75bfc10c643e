"""What the ops address of a machine reads of its instances' answers."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.base_protocol import BaseProtocol

from api.ops.exposition_format import whole


def _body(*pieces: bytes) -> aiohttp.StreamReader:
    loop = asyncio.get_running_loop()
    line = BaseProtocol(loop)
    line.connection_made(asyncio.Transport())
    body = aiohttp.StreamReader(line, 2**16, loop=loop)
    for piece in pieces:
        body.feed_data(piece)
    return body


async def test_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    body = _body(b"mall_flushes_total 1\n")
    read = asyncio.ensure_future(whole(body, 100))
    await asyncio.sleep(0)
    assert not read.done(), "there may be more"
    body.feed_data(b"mall_shards_owned 256\n")
    body.feed_eof()
    assert await read == b"mall_flushes_total 1\nmall_shards_owned 256\n"


async def test_answer_that_is_too_long_is_none() -> None:
    body = _body(b"long")
    body.feed_eof()
    assert await whole(body, 3) is None
    body = _body(b"to", b"p")
    body.feed_eof()
    assert await whole(body, 3) == b"top"
