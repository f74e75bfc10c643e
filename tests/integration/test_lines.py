"""Lines between instances over real TCP: who may make one, and what arrives."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop

from actors.clock import SystemRandomness
from actors.cluster import tcp_transport
from actors.cluster.proof import Meeting
from actors.cluster.tcp_transport import GREETING_BYTES_MAX, TcpTransport
from actors.cluster.tls import PeerTls, TlsError, load_peer_tls
from actors.cluster.transport import FRAME_BYTES_MAX, Greeting, Link, LinkLost
from tests.support.certificates import make_certificates
from tests.support.waiting import turn, until

ANN, BOB = Greeting("ann", "ann.1"), Greeting("bob", "bob.1")


@dataclass
class End:
    """What one end has heard."""

    frames: list[tuple[Link, bytes]] = field(default_factory=list)
    ended: list[Link] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, link: Link, frame: bytes) -> None:
        self.frames.append((link, frame))
        self.changed.set()

    def end(self, link: Link) -> None:
        self.ended.append(link)
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


def _network(secret: bytes = b"secret", cluster: str = "mall") -> TcpTransport:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return TcpTransport(listener, "", secret, cluster, SystemRandomness())


@asynccontextmanager
async def _served(network: TcpTransport, end: End) -> AsyncIterator[str]:
    async with network.serving(BOB, end.receive, end.end) as address:
        yield address


async def test_frames_arrive_whole_and_in_order_both_ways() -> None:
    there, here = End(), End()
    frames = [bytes([n % 256]) * (n * 997 % 70_000 + 1) for n in range(200)]
    async with _served(_network(), there) as address:
        link = await _network().dial(address, ANN, here.receive, here.end)
        assert link.peer == BOB
        assert all(link.send(frame) for frame in frames)
        assert await there.until_frames(200) == frames
        theirs = there.frames[0][0]
        assert theirs.peer == ANN
        theirs.send(b"back")
        assert await here.until_frames(1) == [b"back"]
        link.close()
        await there.until_ended()


async def test_what_is_not_read_yet_of_a_line_that_is_ended_here_is_never_read() -> None:
    here, heard = End(), list[bytes]()

    def end_it(link: Link, frame: bytes) -> None:
        heard.append(frame)
        link.close()

    async with _network().serving(BOB, end_it, here.end) as address:
        link = await _network().dial(address, ANN, here.receive, here.end)
        assert all(link.send(bytes([n])) for n in range(9))
        await here.until_ended()
    assert heard == [b"\0"]


async def test_end_of_the_server_ends_the_line() -> None:
    here = End()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(_served(_network(), End()))
        link = await _network().dial(address, ANN, here.receive, here.end)
    await here.until_ended()
    assert not link.send(b"into the void")


@pytest.mark.parametrize(("secret", "cluster"), [(b"guessed", "mall"), (b"secret", "another mall")])
async def test_stranger_gets_no_line_and_no_frame_through(secret: bytes, cluster: str) -> None:
    there, here = End(), End()
    async with _served(_network(), there) as address:
        with pytest.raises(LinkLost) as lost:
            await _network(secret, cluster).dial(address, ANN, here.receive, here.end)
    assert not lost.value.refused, "a stranger's failure proves nobody dead"
    assert not there.frames


async def test_server_that_does_not_know_the_secret_is_not_spoken_to() -> None:
    there, here = End(), End()
    async with _served(_network(b"pretended"), there) as address:
        with pytest.raises(LinkLost):
            await _network().dial(address, ANN, here.receive, here.end)
    assert not there.frames


async def test_port_without_listener_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    here = End()
    with pytest.raises(LinkLost) as lost:
        await _network().dial(f"127.0.0.1:{port}", ANN, here.receive, here.end)
    assert lost.value.refused


async def test_port_that_never_greets_is_given_up_but_not_called_dead() -> None:
    here = End()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(LinkLost) as lost:
            await _network().dial(address, ANN, here.receive, here.end)
    assert not lost.value.refused


async def _interrupt_dials(
    count: int, serving: TcpTransport | None = None, dialling: TcpTransport | None = None, steps: int = 12
) -> None:
    """Dials that are given up at every step of their making."""
    there, here = End(), End()
    dialling = dialling or _network()
    async with (
        _served(serving or _network(), there) as address,
        dialling.serving(ANN, here.receive, here.end),
    ):
        for number in range(count):
            dial = asyncio.create_task(dialling.dial(address, ANN, here.receive, here.end))
            for _ in range(number % steps):
                await turn()
            dial.cancel()
            [made] = await asyncio.gather(dial, return_exceptions=True)
            if not isinstance(made, BaseException):
                made.close()
        await until(lambda: not dialling.links)
        link = await dialling.dial(address, ANN, here.receive, here.end)
        assert link.send(b"whole")
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
    with pytest.raises(LinkLost):
        await _network().dial(address, ANN, here.receive, here.end)


def _frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


NONCE = "0123456789abcdef" * 2
HELLO = orjson.dumps({"instance": "x", "incarnation": "x.1", "cluster": "mall", "nonce": NONCE, "proofs": 2})


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
        _frame(orjson.dumps(orjson.loads(HELLO) | {"nonce": "short"})),
        _frame(orjson.dumps(orjson.loads(HELLO) | {"instance": "x\x1fx.1"})),
        _frame(orjson.dumps(orjson.loads(HELLO) | {"instance": "x" * 201})),
    ],
    ids=[
        "http",
        "no json",
        "a list",
        "nothing",
        "too long",
        "false proof",
        "hello again",
        "a frame at once",
        "short nonce",
        "separator in a name",
        "long name",
    ],
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
        link = await _network().dial(address, ANN, here.receive, here.end)
        assert not link.send(b"x" * (FRAME_BYTES_MAX + 1))
        assert link.send(b"fits")
        assert await there.until_frames(1) == [b"fits"]
        link.close()


async def test_line_to_a_peer_that_does_not_read_is_full_at_some_time() -> None:
    there, here = End(), End()
    async with _served(_network(), there) as address:
        link = await _network().dial(address, ANN, here.receive, here.end)
        link.send(b"first")
        await there.until_frames(1)
        theirs = there.frames[0][0]
        transport = theirs._transport  # type: ignore[attr-defined]
        transport.pause_reading()
        sent = 0
        while link.send(b"x" * 500_000):
            sent += 1
            assert sent < 200, "a hundred megabytes would be no bound"
            passed = asyncio.Event()
            asyncio.get_running_loop().call_soon(passed.set)
            await passed.wait()
        assert sent > 4
        link.abort()


# -- what is proven -----------------------------------------------------------------------------------------

MEETING = Meeting(
    "mall", Greeting("one", "one.000000000001"), Greeting("two", "two.000000000002"), "a" * 32, "b" * 32
)


def test_proofs_are_those_of_the_vector() -> None:
    """The bytes by hand: who writes this protocol anew has something to compare with."""
    fields = [
        b"\x00\x00\x00\x0bmall-peer-2", b"\x00\x00\x00\x06server", b"\x00\x00\x00\x04mall",
        b"\x00\x00\x00\x03one", b"\x00\x00\x00\x10one.000000000001",
        b"\x00\x00\x00\x03two", b"\x00\x00\x00\x10two.000000000002",
        b"\x00\x00\x00\x20" + b"a" * 32, b"\x00\x00\x00\x20" + b"b" * 32, b"\x00\x00\x00\x00",
    ]  # fmt: skip
    assert MEETING.proof(b"secret", "server") == hmac.new(b"secret", b"".join(fields), "sha256").hexdigest()
    assert MEETING.proof(b"secret", "server") == (
        "57c6cc4e044601a2da55f55efd8ea47d0aa467c43c31c7d0a4ae51af025d7576"
    )
    assert MEETING.proof(b"secret", "client") == (
        "049dae2f43781a76d0b7d7967ab4222be9f973b2483db952615c4b25ec641488"
    )


def test_no_two_meetings_and_no_two_directions_have_the_same_proof() -> None:
    """Fields that run into each other, swapped nonces, another certificate: each is another proof."""
    one, two = MEETING.client, MEETING.server
    others = [
        replace(MEETING, cluster="mal", client=Greeting("lone", one.incarnation)),
        replace(MEETING, client=Greeting("one\x1fone", "000000000001")),
        replace(MEETING, client=Greeting("one", "one\x1f000000000001")),
        replace(MEETING, client=two, server=one),
        replace(MEETING, client_nonce="b" * 32, server_nonce="a" * 32),
        replace(MEETING, client_nonce="a" * 31, server_nonce="ab" + "b" * 31),
        replace(MEETING, certificate="00" * 32),
        MEETING,
    ]
    proofs = [m.proof(b"secret", d) for m in others for d in ("client", "server")]
    assert len(set(proofs)) == len(proofs)


@pytest.mark.parametrize(
    "ambiguous",
    [replace(MEETING, client=Greeting("one\x1fone", "x")), replace(MEETING, certificate="00" * 32)],
)
def test_old_proof_is_made_of_nothing_that_it_cannot_tell_apart(ambiguous: Meeting) -> None:
    with pytest.raises(ValueError, match="told apart"):
        ambiguous.old_proof(b"secret", "client")


async def _old_client(address: str, secret: bytes) -> bytes:
    """The greeting of the version before, and one frame; what the other end says after it."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    hello = orjson.loads(HELLO)
    del hello["proofs"]
    writer.write(_frame(orjson.dumps(hello)))
    said = orjson.loads(await reader.readexactly(struct.unpack(">I", await reader.readexactly(4))[0]))
    assert set(said) == {"instance", "incarnation", "nonce", "proof"}
    names = ["mall", "x", "x.1", said["instance"], said["incarnation"], NONCE, said["nonce"]]
    proofs = [
        hmac.new(secret, "\x1f".join([d, *names]).encode(), "sha256").hexdigest()
        for d in ("server", "client")
    ]
    assert said["proof"] == proofs[0]
    writer.write(_frame(orjson.dumps({"proof": proofs[1]})) + _frame(b"from before"))
    writer.write_eof()
    rest = await reader.read()
    writer.close()
    return rest


async def test_instance_of_the_version_before_may_dial_one_of_this() -> None:
    there = End()
    async with _served(_network(), there) as address:
        await _old_client(address, b"secret")
        assert await there.until_frames(1) == [b"from before"]


async def test_instance_of_this_version_may_dial_one_of_the_version_before() -> None:
    here, heard = End(), list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The other end as the version before wrote it: it ignores what it does not know."""

        async def read() -> bytes:
            return await reader.readexactly(struct.unpack(">I", await reader.readexactly(4))[0])

        hello = orjson.loads(await read())
        names = ["mall", hello["instance"], hello["incarnation"], "bob", "bob.1", hello["nonce"], NONCE]
        proofs = [
            hmac.new(b"secret", "\x1f".join([d, *names]).encode(), "sha256").hexdigest()
            for d in ("server", "client")
        ]
        said = {"instance": "bob", "incarnation": "bob.1", "nonce": NONCE, "proof": proofs[0]}
        writer.write(_frame(orjson.dumps(said)))
        assert orjson.loads(await read()) == {"proof": proofs[1]}
        heard.append(await read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        link = await _network().dial(address, ANN, here.receive, here.end)
        link.send(b"hello, old one")
        await here.until_ended()
    assert heard == [b"hello, old one"]


# -- TLS ------------------------------------------------------------------------------------------------------


@pytest.fixture
def loopback_as_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback as if it were the way to another machine."""
    monkeypatch.setattr(tcp_transport, "is_loopback", lambda host: False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PeerTls]:
    """What two instances of one authority and one of another have."""
    folder = tmp_path_factory.mktemp("certificates")
    found = {}
    for authority, names in (("ours", ("ann", "bob")), ("theirs", ("eve",))):
        for name, files in make_certificates(folder / authority, names).items():
            found[name] = load_peer_tls(*files)
    return found


def _secure(tls: PeerTls | None) -> TcpTransport:
    network = _network()
    network._tls = tls
    network._is_local = False
    return network


@pytest.mark.usefixtures("loopback_as_remote")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_line_with_certificates_is_encrypted_and_carries_frames(
    certificates: dict[str, PeerTls], run: Callable[..., Any]
) -> None:
    async def main() -> str:
        there, here = End(), End()
        async with _served(_secure(certificates["bob"]), there) as address:
            link = await _secure(certificates["ann"]).dial(address, ANN, here.receive, here.end)
            frames = [bytes([n]) * (n * 997 + 1) for n in range(100)]
            assert all(link.send(frame) for frame in frames)
            assert await there.until_frames(100) == frames
            there.frames[0][0].send(b"back")
            assert await here.until_frames(1) == [b"back"]
            assert link._transport is not None
            version = link._transport.get_extra_info("ssl_object").version()
            link.close()
            await there.until_ended()
            return str(version)

    assert run(main()) == "TLSv1.3"


@pytest.mark.usefixtures("loopback_as_remote")
@pytest.mark.parametrize(("dials", "serves"), [("eve", "bob"), ("ann", "eve"), ("", "bob"), ("ann", "")])
async def test_certificate_of_another_authority_or_none_makes_no_line(
    certificates: dict[str, PeerTls], dials: str, serves: str
) -> None:
    there, here = End(), End()
    async with _served(_secure(certificates.get(serves)), there) as address:
        with contextlib.suppress(LinkLost):
            link = await _secure(certificates.get(dials)).dial(address, ANN, here.receive, here.end)
            link.send(b"never")  # TLS 1.3 tells a client of its refusal only now
            await here.until_ended()
    assert not there.frames


@pytest.mark.usefixtures("loopback_as_remote")
async def test_somebody_in_between_with_a_certificate_of_the_authority_passes_nothing_on(
    certificates: dict[str, PeerTls],
) -> None:
    """He ends TLS on both sides and copies the bytes: the proofs name a certificate that the client has not seen."""
    there, here = End(), End()
    async with _served(_secure(certificates["bob"]), there) as address:
        host, _, port = address.rpartition(":")

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            further, onward = await asyncio.open_connection(host, int(port), ssl=certificates["ann"].client)

            async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                with contextlib.suppress(OSError):
                    while data := await source.read(65536):
                        sink.write(data)
                sink.close()

            await asyncio.gather(copy(reader, onward), copy(further, writer))

        between = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=certificates["ann"].server)
        async with between:
            at = f"127.0.0.1:{between.sockets[0].getsockname()[1]}"
            with pytest.raises(LinkLost, match="does not know the secret"):
                await _secure(certificates["ann"]).dial(at, ANN, here.receive, here.end)
    assert not there.frames


@pytest.mark.usefixtures("loopback_as_remote")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_interrupted_dial_with_tls_leaves_no_dead_line(
    certificates: dict[str, PeerTls], run: Callable[..., Any]
) -> None:
    run(_interrupt_dials(100, _secure(certificates["bob"]), _secure(certificates["ann"]), 40))


async def test_lines_on_loopback_have_no_tls_though_there_are_certificates(
    certificates: dict[str, PeerTls],
) -> None:
    there, here = End(), End()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    server = TcpTransport(listener, "", b"secret", "mall", SystemRandomness(), certificates["bob"])
    async with _served(server, there) as address:
        link = await _network().dial(address, ANN, here.receive, here.end)
        assert link._transport is not None
        assert link._transport.get_extra_info("ssl_object") is None


@pytest.mark.parametrize("wrong", ["missing", "not a certificate", "key of another"])
def test_papers_that_cannot_be_used_are_named(tmp_path: Path, wrong: str) -> None:
    ours, theirs = make_certificates(tmp_path, ("ann", "bob")).values()
    certificate, key, authority = ours
    match wrong:
        case "missing":
            authority = tmp_path / "nowhere.pem"
        case "not a certificate":
            certificate.write_text("nothing")
        case _:
            key = theirs[1]
    with pytest.raises(TlsError, match=r"no file|no certificate"):
        load_peer_tls(certificate, key, authority)
