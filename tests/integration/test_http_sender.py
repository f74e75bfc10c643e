"""The client of webhooks against real receivers, and against addresses inside."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from email.utils import formatdate
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from actors.clock import LoopClock, SystemRandomness
from api.outbound.http_sender import REQUESTS_OF_HOST_MAX, HttpSender, open_http_sender
from api.outbound.sealing import Sealing
from api.outbound.signing import new_secret, shown_secret
from dispatch.webhooks.values import Message
from tests.support.receiver import Receiver, always, hang, receiving
from tests.support.waiting import until

LOOPBACK = (ip_network("127.0.0.0/8"),)
SEALING = Sealing([b"k" * 32])
SECRET = new_secret()
TRACE = "0af7651916cd43dd8448eb211c80319c"
BODY = b'{"type":"order.created","data":{}}'


def message(
    url: str,
    name: str = "evt_7",
    *,
    replay: bool = False,
    secrets: Sequence[bytes] = (SECRET,),
    trace: str = TRACE,
) -> Message:
    sealed = tuple(SEALING.seal(1, secret) for secret in secrets)
    return Message(1, url, sealed, name, BODY, trace, replay)


async def _sender(stack: AsyncExitStack, **more: Any) -> HttpSender:
    clock = LoopClock(asyncio.get_running_loop())
    more = {"allowed": LOOPBACK} | more
    return await stack.enter_async_context(open_http_sender(SEALING, clock, SystemRandomness(), **more))


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def sender(stack: AsyncExitStack) -> HttpSender:
    return await _sender(stack)


@pytest.fixture
async def receiver(stack: AsyncExitStack) -> Receiver:
    return await stack.enter_async_context(receiving())


async def test_message_is_signed_and_says_what_it_is(sender: HttpSender, receiver: Receiver) -> None:
    old = new_secret()
    receiver.secrets = [shown_secret(SECRET), shown_secret(old)]
    answer = await sender.send(message(receiver.url, replay=True, secrets=(SECRET, old)))
    assert answer is not None
    assert (answer.status, answer.error) == (204, None)
    assert receiver.forged == []
    [headers] = receiver.headers
    assert headers["webhook-id"] == "evt_7"
    assert headers["webhook-replay"] == "1"
    assert headers["Content-Type"] == "application/json"
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, trace, len(span), flags) == ("00", TRACE, 16, "00")
    assert receiver.got == [("evt_7", BODY, True)]


async def test_receiver_of_a_recorded_trace_gets_its_span_as_parent(
    sender: HttpSender, receiver: Receiver
) -> None:
    await sender.send(message(receiver.url, trace=f"{TRACE}-b7ad6b7169203331"))
    [headers] = receiver.headers
    assert headers["traceparent"] == f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.mark.parametrize("status", [200, 299, 301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_status_is_reported_and_no_redirect_is_followed(
    sender: HttpSender, receiver: Receiver, stack: AsyncExitStack, status: int
) -> None:
    other = await stack.enter_async_context(receiving())
    receiver.answer = always(status, Location=other.url)
    answer = await sender.send(message(receiver.url))
    assert answer is not None
    assert answer.status == status
    assert (len(receiver.got), other.got) == (1, [])


@pytest.mark.parametrize(("text", "least", "most"), [
    ("120", 120, 120), (formatdate(4e9, usegmt=True), 1e8, 1e10), (formatdate(1e9, usegmt=True), 0, 0),
    ("soon", None, None), ("-5", None, None), ("", None, None), ("9" * 50, 999_999_999, 999_999_999),
])  # fmt: skip
async def test_retry_after_is_a_number_or_a_date(
    sender: HttpSender, receiver: Receiver, text: str, least: float | None, most: float | None
) -> None:
    receiver.answer = always(503, Retry_After=text)
    answer = await sender.send(message(receiver.url))
    assert answer is not None
    if least is None or most is None:
        assert answer.retry_after_s is None
    else:
        assert answer.retry_after_s is not None
        assert least <= answer.retry_after_s <= most


async def test_receiver_that_hangs_is_given_up(
    sender: HttpSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.outbound.http_sender.TIMEOUT_S", 0.2)
    receiver.answer = hang
    answer = await sender.send(message(receiver.url))
    assert answer is not None
    assert (answer.status, answer.error) == (None, "timeout")
    assert sender.in_flight == 0


async def test_answer_without_end_counts_by_its_status_and_is_cut_off(
    sender: HttpSender, receiver: Receiver
) -> None:
    sent = []

    async def endless(request: web.Request, number: int) -> web.StreamResponse:
        del number
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        for _ in range(100_000):
            try:
                await response.write(b"x" * 1024)
            except ConnectionError:
                break
            sent.append(1)
        return response

    receiver.answer = endless
    answer = await sender.send(message(receiver.url))
    assert answer is not None
    assert answer.status == 200
    await until(lambda: len(sent) < 100_000)


async def test_slow_answer_counts_by_its_status(
    sender: HttpSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.outbound.http_sender.BODY_S", 0.1)

    async def slow(request: web.Request, number: int) -> web.StreamResponse:
        del number
        response = web.StreamResponse(status=202, headers={"Content-Length": "10"})
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    receiver.answer = slow
    answer = await sender.send(message(receiver.url))
    assert answer is not None
    assert answer.status == 202


async def test_packed_answer_is_not_unpacked(sender: HttpSender, receiver: Receiver) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)

    async def packed(request: web.Request, number: int) -> web.StreamResponse:
        del request, number
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    receiver.answer = packed
    answer = await sender.send(message(receiver.url))
    assert answer is not None
    assert answer.status == 200


async def test_no_cookie_is_kept(sender: HttpSender, receiver: Receiver) -> None:
    receiver.answer = always(200, Set_Cookie="a=b")
    for _ in range(2):
        await sender.send(message(receiver.url))
    assert all("Cookie" not in headers for headers in receiver.headers)


async def test_kept_connection_that_the_receiver_has_closed_is_no_failure(sender: HttpSender) -> None:
    seen = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request, and closes when it gets the next one."""
        for last in (False, True):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if last:
                break
            seen.append(1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        answers = [await sender.send(message(url)) for _ in range(3)]
    assert [answer.status if answer else None for answer in answers] == [200, 200, 200]
    assert len(seen) == 3


async def test_what_is_no_answer_is_reported(sender: HttpSender) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(rude, "127.0.0.1", 0) as server:
        answer = await sender.send(message(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert answer is not None
    assert (answer.status, answer.error) == (None, "broken_answer")


async def test_receiver_that_is_away_is_reported(sender: HttpSender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = await sender.send(message(f"http://127.0.0.1:{unused.getsockname()[1]}/"))
    assert answer is not None
    assert (answer.status, answer.error) == (None, "no_connection")


async def test_host_gets_few_requests_at_once(sender: HttpSender, receiver: Receiver) -> None:
    open_now = asyncio.Event()

    async def waiting(request: web.Request, number: int) -> web.StreamResponse:
        del request, number
        await open_now.wait()
        return web.Response(status=204)

    receiver.answer = waiting
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(sender.send(message(receiver.url))) for _ in range(REQUESTS_OF_HOST_MAX)]
        await until(lambda: len(receiver.got) == REQUESTS_OF_HOST_MAX)
        assert await sender.send(message(receiver.url)) is None
        open_now.set()
    assert [task.result().status for task in running if task.result()] == [204] * REQUESTS_OF_HOST_MAX  # type: ignore[union-attr]
    assert await sender.send(message(receiver.url)) is not None


async def test_secret_of_a_lost_key_is_reported_and_nothing_is_sent(
    sender: HttpSender, receiver: Receiver
) -> None:
    sealed = (Sealing([b"o" * 32]).seal(1, SECRET),)
    answer = await sender.send(Message(1, receiver.url, sealed, "evt_1", BODY, TRACE))
    assert answer is not None
    assert (answer.error, receiver.got) == ("secret_unreadable", [])


async def test_proxies_of_the_environment_are_not_used(
    sender: HttpSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert await sender.send(message(receiver.url)) is not None
    assert len(receiver.got) == 1


async def test_configured_proxy_gets_every_request(stack: AsyncExitStack, receiver: Receiver) -> None:
    by_proxy = await _sender(stack, proxy=receiver.url.removesuffix("/hook"))
    answer = await by_proxy.send(message("http://shop.internal/in"))
    assert answer is not None
    assert answer.status == 204
    assert receiver.headers[0]["Host"] == "shop.internal"


# -- addresses inside -------------------------------------------------------------------------------------


class FixedNames(AbstractResolver):
    """Names that resolve to addresses inside; one of them alternates."""

    def __init__(self) -> None:
        self.turn = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        self.turn += 1
        found = {
            "both.example": ["127.0.0.1", "::1"], "six.example": ["::1"], "mapped.example": ["::ffff:127.0.0.1"],
            "nat.example": ["64:ff9b::7f00:1"], "sixtofour.example": ["2002:7f00:1::"],
            "meta.example": ["169.254.169.254"], "private.example": ["10.0.0.7"], "zero.example": ["0.0.0.0"],
            "turning.example": ["10.0.0.7"] if self.turn % 2 else ["127.0.0.1"],
        }.get(host.removesuffix("."), ["127.0.0.1"])  # fmt: skip
        return [
            ResolveResult(hostname=host, host=address, port=port,
                          family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                          proto=0, flags=socket.AI_NUMERICHOST)
            for address in found
        ]  # fmt: skip

    async def close(self) -> None: ...


HOSTS = (
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1",
    "0177.0.0.1", "0177.1", "017700000001", "127.000.000.001", "0.0.0.0", "0", "00.0.0.0", "localhost", "localhost.",
    "LOCALHOST", "sub.localhost", "127.0.0.1.", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::ffff:0:0]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]", "[2002:7f00:1::1]", "[2001:0:7f00:1::]", "[::1%25lo]", "[fe80::1]", "[fe80::1%25lo]",
    "[fc00::1]", "[fd00::1]", "[ff02::1]", "[2001:db8::1]", "①②⑦.0.0.1", "127。0。0。1", "127.0.0.1%00.example",
    "user@127.0.0.1", "user:pw@127.0.0.1", "shop.example@127.0.0.1", "127.0.0.1\\@shop.example", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "192.88.99.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "inside.example", "both.example", "six.example", "mapped.example",
    "nat.example", "sixtofour.example", "meta.example", "private.example", "zero.example", "turning.example",
    "turning.example.", "127.0.0.1.nip.example", "xn--bcher-kva.example",
)  # fmt: skip


@pytest.fixture(scope="module")
def inside() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port on all addresses of the machine, and what has listened to it."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen(200)
        listener.setblocking(False)
        yield listener.getsockname()[1], [listener]


def _connected(listener: socket.socket) -> bool:
    """True when a connection has arrived."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("checked", [True, False], ids=["with the check of the URL", "by the guard alone"])
@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_no_request_reaches_an_address_inside(
    inside: tuple[int, list[socket.socket]],
    stack: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    checked: bool,
) -> None:
    port, [listener] = inside
    # Else the port alone would have them refused.
    monkeypatch.setattr("api.outbound.address_guard.PORTS", frozenset({port}))
    monkeypatch.setattr("api.outbound.endpoint_urls.PORTS", frozenset({port}))
    monkeypatch.setattr("api.outbound.http_sender.NAME_S", 0.0)
    if not checked:
        monkeypatch.setattr("api.outbound.http_sender.fault_of", lambda *_: None)
    assert len(HOSTS) >= 60
    reached, outcomes = [], []
    for resolver in (FixedNames(), None):
        sender = await _sender(stack, allowed=(), resolver=resolver)
        for host in HOSTS if resolver is not None else [h for h in HOSTS if "example" not in h]:
            answer = await sender.send(message(f"{scheme}://{host}:{port}/"))
            assert answer is not None
            outcomes.append(answer.error)
            if _connected(listener):
                reached.append(host)
    assert reached == []
    assert {*outcomes} <= {"url_refused", "address_refused", "unknown_host", "no_connection", "broken_answer"}
    assert "address_refused" in outcomes or (checked and scheme == "http")


async def test_corpus_would_reach_the_inside_without_the_guard(
    inside: tuple[int, list[socket.socket]], stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    port, [listener] = inside
    monkeypatch.setattr("api.outbound.http_sender.fault_of", lambda *_: None)
    monkeypatch.setattr("api.outbound.address_guard.AddressGuard.permits", lambda *_: True)
    monkeypatch.setattr("api.outbound.http_sender.TIMEOUT_S", 0.5)
    sender = await _sender(stack, allowed=(), resolver=FixedNames())
    reached = 0
    for host in ("127.0.0.1", "[::1]", "localhost", "[::ffff:127.0.0.1]", "inside.example", "0.0.0.0"):
        await sender.send(message(f"http://{host}:{port}/"))
        reached += _connected(listener)
    assert reached == 6
