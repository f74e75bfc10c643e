"""Lines between instances over real TCP: who may make one, and what arrives."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import uvloop

from actors.clock import SystemEntropy
from actors.cluster.network import FRAME_BYTES_MAX, Greeting, Line, LineLost
from actors.cluster.tcp import GREETING_BYTES_MAX, TcpNetwork
from tests.support.waiting import turn, until

ANN, BOB = Greeting("ann", "ann.1"), Greeting("bob", "bob.1")


@dataclass
class End:
    """What one end has heard."""

    frames: list[tuple[Line, bytes]] = field(default_factory=list)
    ended: list[Line] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, line: Line, frame: bytes) -> None:
        self.frames.append((line, frame))
        self.changed.set()

    def end(self, line: Line) -> None:
        self.ended.append(line)
        self.changed.set()

    async def until_frames(self, count: int) -> list[bytes]:
        async with asyncio.timeout(5):
            while len(self.frames) < count:
                self.changed.clear()
                await self.changed.wait()
        return [frame for _, frame in self.frames]

    async def until_ended(self) -> None:
        async with asyncio.timeout(5):
            while not self.ended:
                self.changed.clear()
                await self.changed.wait()


def _network(secret: bytes = b"secret", cluster: str = "mall") -> TcpNetwork:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return TcpNetwork(listener, "", secret, cluster, SystemEntropy())


@asynccontextmanager
async def _served(network: TcpNetwork, end: End) -> AsyncIterator[str]:
    async with network.serving(BOB, end.receive, end.end) as address:
        yield address


async def test_frames_arrive_whole_and_in_order_both_ways() -> None:
    there, here = End(), End()
    frames = [bytes([n % 256]) * (n * 997 % 70_000 + 1) for n in range(200)]
    async with _served(_network(), there) as address:
        line = await _network().dial(address, ANN, here.receive, here.end)
        assert line.peer == BOB
        assert all(line.send(frame) for frame in frames)
        assert await there.until_frames(200) == frames
        theirs = there.frames[0][0]
        assert theirs.peer == ANN
        theirs.send(b"back")
        assert await here.until_frames(1) == [b"back"]
        line.close()
        await there.until_ended()


async def test_what_is_not_read_yet_of_a_line_that_is_ended_here_is_never_read() -> None:
    here, heard = End(), list[bytes]()

    def end_it(line: Line, frame: bytes) -> None:
        heard.append(frame)
        line.close()

    async with _network().serving(BOB, end_it, here.end) as address:
        line = await _network().dial(address, ANN, here.receive, here.end)
        assert all(line.send(bytes([n])) for n in range(9))
        await here.until_ended()
    assert heard == [b"\0"]


async def test_end_of_the_server_ends_the_line() -> None:
    here = End()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(_served(_network(), End()))
        line = await _network().dial(address, ANN, here.receive, here.end)
    await here.until_ended()
    assert not line.send(b"into the void")


@pytest.mark.parametrize(("secret", "cluster"), [(b"guessed", "mall"), (b"secret", "another mall")])
async def test_stranger_gets_no_line_and_no_frame_through(secret: bytes, cluster: str) -> None:
    there, here = End(), End()
    async with _served(_network(), there) as address:
        with pytest.raises(LineLost) as lost:
            await _network(secret, cluster).dial(address, ANN, here.receive, here.end)
    assert not lost.value.refused, "a stranger's failure proves nobody dead"
    assert not there.frames


async def test_server_that_does_not_know_the_secret_is_not_spoken_to() -> None:
    there, here = End(), End()
    async with _served(_network(b"pretended"), there) as address:
        with pytest.raises(LineLost):
            await _network().dial(address, ANN, here.receive, here.end)
    assert not there.frames


async def test_port_without_listener_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    here = End()
    with pytest.raises(LineLost) as lost:
        await _network().dial(f"127.0.0.1:{port}", ANN, here.receive, here.end)
    assert lost.value.refused


async def test_port_that_never_greets_is_given_up_but_not_called_dead() -> None:
    here = End()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(LineLost) as lost:
            await _network().dial(address, ANN, here.receive, here.end)
    assert not lost.value.refused


async def _interrupt_dials(count: int) -> None:
    """Dials that are given up at every step of their making."""
    there, here = End(), End()
    dialling = _network()
    async with _served(_network(), there) as address, dialling.serving(ANN, here.receive, here.end):
        for number in range(count):
            dial = asyncio.create_task(dialling.dial(address, ANN, here.receive, here.end))
            for _ in range(number % 12):
                await turn()
            dial.cancel()
            [made] = await asyncio.gather(dial, return_exceptions=True)
            if not isinstance(made, BaseException):
                made.close()
        await until(lambda: not dialling.lines)
        line = await dialling.dial(address, ANN, here.receive, here.end)
        assert line.send(b"whole")
        assert await there.until_frames(1) == [b"whole"]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_interrupted_dial_leaves_no_dead_line_and_the_network_closes(run: Callable[..., Any]) -> None:
    raised = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: raised.append(what))
        await _interrupt_dials(300)

    run(main())
    assert raised == []


@pytest.mark.parametrize("address", ["127.0.0.1:99999999", "127.0.0.1:", "nowhere", "127.0.0.1:-1"])
async def test_address_that_is_none_is_a_lost_line_and_nothing_worse(address: str) -> None:
    here = End()
    with pytest.raises(LineLost):
        await _network().dial(address, ANN, here.receive, here.end)


def _frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


HELLO = orjson.dumps({"instance": "x", "incarnation": "x.1", "cluster": "mall", "nonce": "n"})


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: mall\r\n\r\n",
        _frame(b"not json"),
        _frame(b"[]"),
        _frame(b"{}"),
        struct.pack(">I", GREETING_BYTES_MAX + 1),
        _frame(HELLO) + _frame(b'{"proof":"00"}'),
        _frame(HELLO) + _frame(HELLO),
        _frame(HELLO) + _frame(b'["T","order",1]'),
    ],
    ids=["http", "no json", "a list", "nothing", "too long", "false proof", "hello again", "a frame at once"],
)
async def test_whoever_does_not_greet_properly_is_cut_off(said: bytes) -> None:
    there = End()
    async with _served(_network(), there) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        async with asyncio.timeout(5):
            while await reader.read(4096):
                pass  # a greeting is answered; then comes the end
        writer.close()
    assert not there.frames


async def test_whoever_says_nothing_is_cut_off() -> None:
    async with _served(_network(), End()) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(5):
            assert await reader.read(1) == b""
        writer.close()


async def test_frame_that_is_too_long_is_not_sent() -> None:
    there, here = End(), End()
    async with _served(_network(), there) as address:
        line = await _network().dial(address, ANN, here.receive, here.end)
        assert not line.send(b"x" * (FRAME_BYTES_MAX + 1))
        assert line.send(b"fits")
        assert await there.until_frames(1) == [b"fits"]
        line.close()


async def test_line_to_a_peer_that_does_not_read_is_full_at_some_time() -> None:
    there, here = End(), End()
    async with _served(_network(), there) as address:
        line = await _network().dial(address, ANN, here.receive, here.end)
        line.send(b"first")
        await there.until_frames(1)
        theirs = there.frames[0][0]
        transport = theirs._transport  # type: ignore[attr-defined]
        transport.pause_reading()
        sent = 0
        while line.send(b"x" * 500_000):
            sent += 1
            assert sent < 200, "a hundred megabytes would be no bound"
            passed = asyncio.Event()
            asyncio.get_running_loop().call_soon(passed.set)
            await passed.wait()
        assert sent > 4
        line.abort()
