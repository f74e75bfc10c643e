"""One instance of the cluster, between proxies: kill, freeze, cut, restart."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from loadtests.chaos.plan import CUT_PEERS, CUT_POSTGRES, CUT_REDIS
from loadtests.chaos.proxy import PASS, Proxy, open_proxies
from loadtests.kit.server import ServerProcess

# Below the ports that Linux gives to outgoing connections: one of those could take an instance's port while
# the instance is down. Where to begin depends on the process, so that two runs at once do not meet.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_PORTS: Iterator[int] = itertools.count(_FIRST_PORT + os.getpid() * 64 % (_LAST_PORT - _FIRST_PORT))
# As much as each of four needs beside the others: Postgres takes 100 connections, and a killed one's linger.
POOL_SIZE = 6
# What Postgres answers to a write that the fence refuses. Counted by the proxy, because a process that wakes from
# a long freeze gives up on calls that are so old before it reads their answers.
REFUSED = b'"stale"'


def quiet_port() -> int:
    """A port that nobody has, and that nobody gets by chance."""
    for number in itertools.islice(_PORTS, _LAST_PORT - _FIRST_PORT):
        port = _FIRST_PORT + (number - _FIRST_PORT) % (_LAST_PORT - _FIRST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


class ProxiedInstance(ServerProcess):
    """`run.py serve` with a name, that sees Postgres, Redis and its peers through proxies.

    Attributes:
        wanted: it should run; ending by itself then is a fault of its own.
        ready: it has said so since its last start.
        frozen: it has been stopped by a signal.
        cut: what it cannot reach at the moment, by kind of fault.
    """

    def __init__(
        self, name: str, folder: Path, proxies: dict[str, Proxy], peer_port: int, database: str
    ) -> None:
        self.name = name
        environ = {
            "MALL_INSTANCE": self.name,
            "DATABASE_URL": f"postgresql://mall@127.0.0.1:{proxies[CUT_POSTGRES].port}/{database}",
            "REDIS_URL": f"redis://127.0.0.1:{proxies[CUT_REDIS].port}",
            "MALL_PEER_PORT": str(peer_port),
            "MALL_PEER_ADVERTISE": f"127.0.0.1:{proxies[CUT_PEERS].port}",
            "MALL_POOL_SIZE": str(POOL_SIZE),
            # The proxies speak no TLS, and to ask for it costs a round trip.
            "PGSSLMODE": "disable",
        }
        super().__init__(folder / name, environ)
        self.port, self.ops_port = quiet_port(), quiet_port()
        self.url, self.ops_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.ops_port}"
        self.environ |= {"MALL_PORT": str(self.port), "MALL_OPS_PORT": str(self.ops_port)}
        self.proxies = proxies
        self.wanted = self.ready = self.frozen = False
        self.cut: dict[str, str] = {}
        # Its end reaches an instance also when this tool is killed.
        self._lifeline = os.pipe()
        self.arguments = ("--lifeline", str(self._lifeline[0]))

    @property
    def well(self) -> bool:
        """True when nothing is known to keep it from serving."""
        return self.ready and not self.frozen and not self.cut

    async def launch(self, keep: Sequence[int] = ()) -> None:
        """Start the process; peers find somebody at its address from now on."""
        await self.proxies[CUT_PEERS].listen()
        await super().launch((*keep, self._lifeline[0]))
        self.wanted = True

    async def wait_ready(self) -> None:
        """Wait until the readiness probe says yes."""
        await super().wait_ready()
        self.ready = self.wanted

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; nobody listens at its address from then on."""
        self.wanted = self.ready = False
        if number != signal.SIGKILL:
            self.thaw()
        self.frozen = False
        code = await super().stop(number)
        self.proxies[CUT_PEERS].refuse()
        return code

    @property
    def stale(self) -> int:
        """Writes of it, in all its lives, that the fence has refused."""
        return self.proxies[CUT_POSTGRES].found

    def forget(self) -> None:
        """Close what is left of it; it is not started again."""
        for end in self._lifeline:
            os.close(end)

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.running:
            os.kill(self.pid, signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        if self.running and self.frozen:
            os.kill(self.pid, signal.SIGCONT)
        self.frozen = False


class ProxiedCluster:
    """All instances. Open it with `open_fleet`."""

    def __init__(self, instances: list[ProxiedInstance]) -> None:
        self.instances = instances

    @property
    def urls(self) -> list[str]:
        return [instance.url for instance in self.instances]

    def cut(self, victim: ProxiedInstance, kind: str, mode: str) -> None:
        """Cut an instance from something, or reach it again with PASS; from its peers in both directions."""
        if mode == PASS:
            victim.cut.pop(kind, None)
        else:
            victim.cut[kind] = mode
        victim.proxies[kind].cut(mode)
        if kind == CUT_PEERS:
            for other in self.instances:
                if other is not victim:
                    other.proxies[kind].cut(mode, victim.name)


@asynccontextmanager
async def open_cluster(
    count: int, folder: Path, postgres: Path, redis: Path, database: str
) -> AsyncIterator[ProxiedCluster]:
    """Instances that are not started yet, and their proxies.

    Args:
        count: how many.
        folder: where each gets a folder of its own.
        postgres: the socket of the database server.
        redis: that of Redis.
        database: the database's name.
    """
    async with open_proxies() as proxies:
        cluster = ProxiedCluster([])
        for number in range(count):
            peer_port = quiet_port()
            lines = {
                CUT_POSTGRES: await proxies.add(quiet_port(), postgres, looks_for=REFUSED),
                CUT_REDIS: await proxies.add(quiet_port(), redis),
                CUT_PEERS: await proxies.add(quiet_port(), ("127.0.0.1", peer_port), asks_who=True),
            }
            cluster.instances.append(
                ProxiedInstance(f"mall-{number + 1}", folder, lines, peer_port, database)
            )
        try:
            yield cluster
        finally:
            for instance in cluster.instances:
                await instance.stop(signal.SIGKILL)
                instance.forget()
