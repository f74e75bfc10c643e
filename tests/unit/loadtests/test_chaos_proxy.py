"""The proxy between an instance and what it talks to: passes, goes deaf, resets, refuses."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from loadtests.chaos.instance import quiet_port
from loadtests.chaos.plan import BLACK_HOLE, HELD_BACK, RESET
from loadtests.chaos.proxy import PASS, Proxy, open_proxies
from tests.support.waiting import LIMIT_S, turn, until


@dataclass
class Echo:
    """A server that says everything back, and what it has heard."""

    port: int
    heard: bytearray = field(default_factory=bytearray)
    lines: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        while data := await reader.read(65536):
            self.heard += data
            writer.write(data)
        self.lines -= 1
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo(quiet_port())
    server = await asyncio.start_server(made.serve, "127.0.0.1", made.port)
    yield made
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with open_proxies() as proxies:
        yield await proxies.add(quiet_port(), ("127.0.0.1", echo.port))


class Line:
    """A client of a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def says(self, text: bytes) -> bytes:
        """What comes back for it."""
        self.writer.write(text)
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readexactly(len(text))

    async def ends(self) -> None:
        """Returns when the other side has ended it."""
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(ConnectionError):
                await self.reader.read()


async def dial(proxy: Proxy) -> Line:
    return Line(*await asyncio.open_connection("127.0.0.1", proxy.port))


async def test_passes_what_is_said_in_both_directions(proxy: Proxy) -> None:
    line = await dial(proxy)
    assert await line.says(b"hello") == b"hello"
    assert await line.says(b"x" * 300_000) == b"x" * 300_000


async def test_black_hole_swallows_nothing_for_good(proxy: Proxy, echo: Echo) -> None:
    line = await dial(proxy)
    await line.says(b"one")
    proxy.cut(BLACK_HOLE)
    line.writer.write(b"two")
    await line.writer.drain()
    for _ in range(200):
        await turn()
    assert echo.heard == b"one"
    proxy.cut(PASS)
    async with asyncio.timeout(LIMIT_S):
        assert await line.reader.readexactly(3) == b"two"


async def test_no_end_is_noticed_through_a_black_hole(proxy: Proxy, echo: Echo) -> None:
    line = await dial(proxy)
    await line.says(b"one")
    proxy.cut(BLACK_HOLE)
    line.writer.close()
    for _ in range(200):
        await turn()
    assert echo.lines == 1
    proxy.cut(PASS)
    await until(lambda: echo.lines == 0)


async def test_who_dials_into_a_black_hole_is_heard_after_it(proxy: Proxy, echo: Echo) -> None:
    proxy.cut(BLACK_HOLE)
    line = await dial(proxy)
    line.writer.write(b"late")
    for _ in range(200):
        await turn()
    assert echo.lines == 0
    proxy.cut(PASS)
    async with asyncio.timeout(LIMIT_S):
        assert await line.reader.readexactly(4) == b"late"


async def test_reset_ends_the_lines_there_are_and_every_new_one(proxy: Proxy) -> None:
    line = await dial(proxy)
    await line.says(b"one")
    proxy.cut(RESET)
    await line.ends()
    await (await dial(proxy)).ends()
    proxy.cut(PASS)
    assert await (await dial(proxy)).says(b"again") == b"again"


async def test_lines_end_where_nobody_listens_behind_it() -> None:
    async with open_proxies() as proxies:
        await (await dial(await proxies.add(quiet_port(), ("127.0.0.1", quiet_port())))).ends()


async def test_refuses_as_a_machine_does_on_which_nobody_listens(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await dial(proxy)
    await proxy.listen()
    assert await (await dial(proxy)).says(b"back") == b"back"


def greeting(instance: str) -> bytes:
    """The first frame of a line between instances."""
    frame = json.dumps({"instance": instance}).encode()
    return struct.pack(">I", len(frame)) + frame


async def test_one_source_is_cut_and_the_others_are_not(echo: Echo) -> None:
    async with open_proxies() as proxies:
        proxy = await proxies.add(quiet_port(), ("127.0.0.1", echo.port), asks_who=True)
        ann, bob = await dial(proxy), await dial(proxy)
        for line, name in ((ann, "mall-1"), (bob, "mall-2")):
            assert await line.says(greeting(name)) == greeting(name)
        proxy.cut(RESET, "mall-1")
        await ann.ends()
        assert await bob.says(b"still here") == b"still here"
        late = await dial(proxy)
        late.writer.write(greeting("mall-1"))
        await late.ends()
        proxy.cut(PASS, "mall-1")
        again = await dial(proxy)
        assert await again.says(greeting("mall-1")) == greeting("mall-1")


async def test_counts_what_it_looks_for_also_where_it_comes_in_pieces(echo: Echo) -> None:
    async with open_proxies() as proxies:
        proxy = await proxies.add(quiet_port(), ("127.0.0.1", echo.port), looks_for=b"stale")
        line, other = await dial(proxy), await dial(proxy)
        for said in (b"stale and sta", b"l", b"e, stal"):
            await line.says(said)
        await other.says(b"e")
        assert proxy.found == 2


async def test_what_is_held_back_arrives_later_and_answers_pass_meanwhile() -> None:
    heard = bytearray()
    said: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.set_result(writer)
        while data := await reader.read(100):
            heard.extend(data)
        writer.close()

    port = quiet_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with open_proxies() as proxies, asyncio.timeout(LIMIT_S):
        proxy = await proxies.add(quiet_port(), ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"first")
        await until(lambda: heard == b"first")
        proxy.cut(HELD_BACK)
        writer.write(b" second")
        (await said).write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        assert heard == b"first"
        proxy.cut(PASS)
        await until(lambda: heard == b"first second")
        writer.close()
    server.close()
