"""HTTP servers of one instance: the public port and the ops port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from actors.cancellation import end
from actors.clock import Randomness
from actors.cluster.tcp_transport import TcpTransport
from actors.cluster.tls import TlsError, load_peer_tls
from api.app import make_app, make_ops_app
from api.http.services import Services
from api.transport.connection_limits import ConnectionCounts
from api.transport.listening_sockets import StartError
from api.transport.runners import runner_class
from config import metrics
from config.settings import Settings

BACKLOG = 2048
# Send buffer of a connection in the kernel, which doubles it. The default grows to 4 MB for each slow reader.
SEND_BUFFER_BYTES = 128 * 1024


def open_network(
    settings: Settings, listener: socket.socket, secret: bytes, cluster: str, entropy: Randomness
) -> TcpTransport:
    """Open the transport of links to other instances, with TLS where certificates are given.

    Raises:
        StartError: a certificate cannot be used.
    """
    tls = None
    if settings.peer_tls_cert and settings.peer_tls_key and settings.peer_tls_ca:
        try:
            tls = load_peer_tls(settings.peer_tls_cert, settings.peer_tls_key, settings.peer_tls_ca)
        except TlsError as error:
            raise StartError(str(error)) from None
    return TcpTransport(listener, settings.peer_advertise, secret, cluster, entropy, tls)


class HttpServer:
    """The two HTTP servers of an instance, open inside `async with`."""

    def __init__(self, services: Services, public: socket.socket, ops: socket.socket) -> None:
        self._services = services
        self._listeners = (public, ops)
        self._runner_class = runner_class(fast=services.settings.fast_path == "on")
        self._sites: list[web.SockSite] = []

    @contextlib.asynccontextmanager
    async def open(self, full: asyncio.Event) -> AsyncIterator[None]:
        """Serve until the block ends; requests in flight get three more seconds.

        `full` stops accepting connections: during a rolling restart they belong to new instances.
        """
        services = self._services
        runners = []
        apps = (make_app(services), make_ops_app(services))
        # Each connection inherits it. The links to other instances need more: they carry whole shards.
        self._listeners[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        # The ops port has few clients, and is never public.
        connection_counts = (
            ConnectionCounts(services.settings.connections_per_ip, services.settings.uncounted_networks),
            ConnectionCounts(0),
        )
        try:
            for app, listener, allowed in zip(apps, self._listeners, connection_counts, strict=True):
                runner = self._runner_class(
                    app,
                    allowed,
                    services.entropy.trace,
                    handle_signals=False,
                    access_log=None,
                    keepalive_timeout=75,
                    shutdown_timeout=3,
                    lingering_time=2.0,  # for the rest of a refused body
                    auto_decompress=False,  # no encoding is accepted, so none is undone
                )
                await runner.setup()
                runners.append(runner)
                site = web.SockSite(runner, listener, backlog=BACKLOG)
                try:
                    await site.start()
                except OSError as error:  # two that start at the same moment may both bind; one can listen
                    raise StartError(
                        f"cannot listen on {listener.getsockname()[:2]}: {error.strerror}"
                    ) from None
                self._sites.append(site)
            async with asyncio.TaskGroup() as tasks:
                watching = [tasks.create_task(self._close_when(full), name="no more connections")]
                for port, runner in zip(("public", "ops"), runners, strict=True):
                    metrics.CONNECTIONS.labels(port).set_function(runner.count_open)
                    watching.append(tasks.create_task(runner.sweep(), name="slow connections"))
                try:
                    yield
                finally:
                    await end(watching)
        finally:
            for runner in runners:
                await runner.cleanup()

    async def _close_when(self, full: asyncio.Event) -> None:
        await full.wait()
        await self.close_public()

    async def close_public(self) -> None:
        """Stop accepting connections; open ones stay."""
        site, self._sites = self._sites[:1], self._sites[1:]
        for public in site:
            await public.stop()
