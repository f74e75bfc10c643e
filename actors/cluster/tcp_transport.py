"""Links over TCP: length-prefixed frames, and a handshake that proves the shared secret both ways.

    client: {"instance", "incarnation", "cluster", "nonce", "proofs": 2}
    server: {"instance", "incarnation", "nonce", "proofs": 2, "proof"}
    client: {"proof"}

proof.py defines the proofs. With certificates (tls.py), links between machines are encrypted; those on loopback are
not. Without certificates, the peers' port must be in a private network.

All frames of one loop iteration leave in one write. So a forwarded call takes 6 us of processor time at 64 in flight,
where an HTTP call takes 245 (on one machine with uvloop).
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import orjson

from actors.clock import Randomness
from actors.cluster.proof import NONCE_CHARS_MIN, VERSION, Direction, Meeting, read_field
from actors.cluster.tls import PeerTls, fingerprint, is_loopback
from actors.cluster.transport import FRAME_BYTES_MAX, LINE_BYTES_MAX, Ended, Greeting, LinkLost, Receive

DIAL_S = 1.0
GREETING_BYTES_MAX = 2048
_LENGTH = struct.Struct(">I")


class TcpLink(asyncio.Protocol):
    """One connection. The first frames are the handshake; later ones go to `receive`."""

    def __init__(self, network: TcpTransport, me: Greeting, receive: Receive, ended: Ended) -> None:
        self.peer = Greeting("", "")
        self._links_of = network
        self._me = me
        self._receive = receive
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._read = bytearray()
        self._queued: list[bytes] = []
        self._flushing = False
        self._nonce = network.entropy.token()
        self._greeted = False
        self._open = True
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- frames out ---------------------------------------------------------------------------

    def send(self, frame: bytes) -> bool:
        """Queue a frame, to be written at the end of this loop iteration."""
        transport = self._transport
        if not self._open or transport is None or len(frame) > FRAME_BYTES_MAX:
            return False
        if transport.get_write_buffer_size() > LINE_BYTES_MAX:
            return False
        self._queued += (_LENGTH.pack(len(frame)), frame)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)
        return True

    def _flush(self) -> None:
        self._flushing = False
        queued, self._queued = self._queued, []
        transport = self._transport
        if queued and self._open and transport is not None and not transport.is_closing():
            with self._perhaps_dead():
                transport.write(b"".join(queued))

    @contextmanager
    def _perhaps_dead(self) -> Iterator[None]:
        """Context in which an error of a dead transport ends the link only.

        When a connection attempt is interrupted, uvloop ends the transport silently: `is_closing()` is false,
        `connection_lost` is not called, and a write raises RuntimeError.
        """
        try:
            yield
        except RuntimeError:
            self._open = False
            self._links_of.links.discard(self)

    def close(self) -> None:
        """Close the link after its queued frames."""
        if self._transport is not None and self._open:
            self._flush()
            self._open = False
            with self._perhaps_dead():
                self._transport.close()

    def abort(self) -> None:
        """Close the link now."""
        self._open = False
        self._queued.clear()
        self._links_of.links.discard(self)
        if self._transport is not None:
            with self._perhaps_dead():
                self._transport.abort()

    # -- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not an asyncio.Transport
        if not self._open:  # the dialling end has given up meanwhile
            self._transport.abort()
            return
        self._links_of.links.add(self)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._read += data
        start, view = 0, self._read
        while len(view) - start >= 4:
            (length,) = _LENGTH.unpack_from(view, start)
            if length > (FRAME_BYTES_MAX if self._greeted else GREETING_BYTES_MAX):
                self._fail("a frame is too long")
                return
            if len(view) - start - 4 < length:
                break
            frame = bytes(view[start + 4 : start + 4 + length])
            start += 4 + length
            if self._greeted:
                self._receive(self, frame)
            else:
                self._greet(frame)
            if not self._open:
                return
        del self._read[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open = False
        self._links_of.links.discard(self)
        if not self.ready.done():
            self.ready.set_exception(LinkLost("ended in the greeting"))
            self.ready.exception()  # there may be no waiter
        if self._greeted:
            self._greeted = False
            self._ended(self)

    # -- the greeting -------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(LinkLost(reason))
            self.ready.exception()
        self.abort()

    def _greet(self, frame: bytes) -> None:
        try:
            self._answer(orjson.loads(frame))
        except (KeyError, TypeError, ValueError, AttributeError):
            self._fail("the greeting is garbled")

    def _answer(self, said: dict[str, Any]) -> None:
        raise NotImplementedError

    def _say(self, **values: str | int) -> None:
        self.send(orjson.dumps(values))

    def _meet(self, client: Greeting, server: Greeting, nonces: tuple[str, str], certificate: str) -> Meeting:
        return Meeting(self._links_of.cluster, client, server, *nonces, certificate)

    def _proof(self, meeting: Meeting, direction: Direction, *, old: bool) -> str:
        secret = self._links_of.secret
        return meeting.old_proof(secret, direction) if old else meeting.proof(secret, direction)

    def _done(self) -> None:
        self._greeted = True
        if not self.ready.done():
            self.ready.set_result(None)


class DialledLink(TcpLink):
    """Link at the end that dialled."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._open:
            return
        me = self._me
        self._say(
            instance=me.instance,
            incarnation=me.incarnation,
            cluster=self._links_of.cluster,
            nonce=self._nonce,
            proofs=VERSION,
        )

    def _answer(self, said: dict[str, Any]) -> None:
        self.peer = Greeting(read_field(said["instance"]), read_field(said["incarnation"]))
        nonces = (self._nonce, read_field(said["nonce"], NONCE_CHARS_MIN))
        meeting, old = self._meet(self._me, self.peer, nonces, self._certificate()), "proofs" not in said
        if not hmac.compare_digest(self._proof(meeting, "server", old=old), said["proof"]):
            self._fail("the peer does not know the secret")
            return
        self._say(proof=self._proof(meeting, "client", old=old))
        self._done()

    def _certificate(self) -> str:
        """Fingerprint of the server's certificate."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return "" if tls is None else fingerprint(tls.getpeercert(binary_form=True))


class AcceptedLink(TcpLink):
    """Link at the end that was dialled."""

    _expected = ""

    def _answer(self, said: dict[str, Any]) -> None:
        if self._expected:
            if hmac.compare_digest(self._expected, said["proof"]):
                self._done()
            else:
                self._fail("the peer does not know the secret")
            return
        if said["cluster"] != self._links_of.cluster:
            self._fail("another cluster")
            return
        self.peer = Greeting(read_field(said["instance"]), read_field(said["incarnation"]))
        nonces = (read_field(said["nonce"], NONCE_CHARS_MIN), self._nonce)
        meeting, old = (
            self._meet(self.peer, self._me, nonces, self._links_of.certificate),
            "proofs" not in said,
        )
        self._expected = self._proof(meeting, "client", old=old)
        me, proof = self._me, self._proof(meeting, "server", old=old)
        more = {} if old else {"proofs": VERSION}
        self._say(instance=me.instance, incarnation=me.incarnation, nonce=self._nonce, proof=proof, **more)


class TcpTransport:
    """Implements actors.cluster.transport.Transport.

    Args:
        listener: a listening socket that is bound.
        address: `host:port` under which peers reach it; "" for the bound address.
        secret: secret of the cluster, shared by its instances only.
        cluster: name of the cluster; a link to another cluster is refused.
        tls: TLS for links that leave the machine; None: no encryption.
    """

    def __init__(
        self,
        listener: socket.socket,
        address: str,
        secret: bytes,
        cluster: str,
        entropy: Randomness,
        tls: PeerTls | None = None,
    ) -> None:
        self.secret = secret
        self.cluster = cluster
        self.entropy = entropy
        self.links: set[TcpLink] = set()
        self._listener = listener
        self._tls = tls
        host, port = listener.getsockname()[:2]
        self._address = address or f"{host}:{port}"
        self._is_local = is_loopback(host)

    @property
    def certificate(self) -> str:
        """Fingerprint of this end's certificate; "" without TLS."""
        return "" if self._tls is None or self._is_local else self._tls.fingerprint

    @asynccontextmanager
    async def serving(self, me: Greeting, receive: Receive, ended: Ended) -> AsyncIterator[str]:
        """Accept links until the block ends, which closes all links."""
        loop = asyncio.get_running_loop()

        def make() -> AcceptedLink:
            link = AcceptedLink(self, me, receive, ended)
            loop.call_later(DIAL_S, _hurry, link)
            return link

        tls = None if self._tls is None or self._is_local else self._tls.server
        server = await loop.create_server(make, sock=self._listener, **_tls_options(tls))
        try:
            yield self._address
        finally:
            server.close()
            for link in list(self.links):
                link.close()

    async def dial(self, address: str, me: Greeting, receive: Receive, ended: Ended) -> DialledLink:
        """Dial a peer and complete the handshake.

        Raises:
            LinkLost: `refused` if the address refuses connections.
        """
        host, _, port = address.rpartition(":")
        # Made here, so that it is closed however the dialling ends.
        link = DialledLink(self, me, receive, ended)
        try:
            async with asyncio.timeout(DIAL_S):
                loop = asyncio.get_running_loop()
                tls = None if self._tls is None or is_loopback(host) else self._tls.client
                await loop.create_connection(lambda: link, host, int(port), **_tls_options(tls))
                await link.ready
        except BaseException as error:
            link.abort()
            if isinstance(error, LinkLost) or not isinstance(error, Exception):
                raise
            refused = isinstance(error, ConnectionRefusedError)
            raise LinkLost("refused" if refused else type(error).__name__, refused=refused) from None
        return link


def _tls_options(context: ssl.SSLContext | None) -> dict[str, Any]:
    return {} if context is None else {"ssl": context, "ssl_handshake_timeout": DIAL_S}


def _hurry(link: AcceptedLink) -> None:
    """Close a connection that does not complete the handshake in time."""
    if not link.ready.done():
        link.abort()
