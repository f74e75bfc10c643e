"""The server under drill, with a Postgres, a Valkey and a gateway of its own, and users."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from loadtests.chaos.nemesis import process_tree
from loadtests.drill.load import SteadyCustomer, SteadyDriver
from loadtests.kit.client import Mall
from loadtests.kit.fixtures import Zone, database_url
from loadtests.kit.gateway import GatewayProcess, open_gateway_process
from loadtests.kit.server import EMBEDDED, ServerProcess
from loadtests.kit.setup import Setup, mint_on, unique_tag
from loadtests.kit.stores import Stores, open_stores

DRIVERS, CAPACITY = 4, 5
# A worker beside the server, whatever this environment says.
SETTINGS = {
    "MALL_WORK": "on", "MALL_LOG_LEVEL": "info", "MALL_GATEWAY_URL": "sandbox",
    # One customer pays for all; orders that were not paid in an outage must not end its paying.
    "MALL_UNPAID_ORDERS_MAX": "1000",
}  # fmt: skip
# A disk of this size holds a Postgres, and a server that is well says so.
DISK_BYTES = 1024 * 1024 * 1024


@dataclass(slots=True)
class DrilledMall:
    """What a fault may be made in.

    Attributes:
        stores: None where the server has embedded ones.
        gateway: where the fault is one of the gateway.
        disk: the folder of a small disk, where the fault is one of the disk.
    """

    server: ServerProcess
    http: aiohttp.ClientSession
    stores: Stores | None = None
    gateway: GatewayProcess | None = None
    disk: Path | None = None
    admin: Mall = field(init=False)
    customer: Mall = field(init=False)
    zone: Zone = field(init=False)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def database_url(self) -> str:
        """Of the database, as its owner."""
        return self.stores.postgres.database_url if self.stores is not None else database_url(self.server)

    @property
    def ops(self) -> str:
        """Host and port of the ops port."""
        return self.server.ops_url.removeprefix("http://")

    @asynccontextmanager
    async def steady_load(self) -> AsyncIterator[None]:
        """Users for the length of a block."""
        setup = Setup(Mall(self.http, self.server.url), mint_on(self.server), unique_tag("drill"))
        await setup.enroll_admin()
        self.admin, self.zone = setup.admin, await setup.open_zone("waves")
        [user] = await setup.mint("customer", 1)
        drivers = await setup.mint("driver", DRIVERS, self.zone, CAPACITY)
        self.customer = setup.mall.as_(user.token)
        customer = SteadyCustomer(self.customer, self.zone.products, user.number)
        self.answers = customer.answers
        working = [
            SteadyDriver(setup.mall.as_(driver.token), f"{setup.tag}-{driver.number}", Counter()).run()
            for driver in drivers
        ]
        async with asyncio.TaskGroup() as tasks:
            users = [tasks.create_task(user, name="user") for user in (customer.run(), *working)]
            try:
                yield
            finally:
                for task in users:
                    task.cancel()


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to all of them that still run."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def frozen_tree(pid: int | None) -> Iterator[None]:
    """A process and its children, stopped for the length of a block."""
    assert pid is not None
    pids = list(process_tree(pid))
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


def can_mount() -> bool:
    """True where this process may make a small disk."""
    return os.geteuid() == 0 and Path("/proc/filesystems").read_text().find("tmpfs") >= 0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk in memory.

    Raises:
        RuntimeError: this system does not let us.
    """
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603 - our words
    if done.returncode != 0:
        raise RuntimeError(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, timeout=20)  # noqa: S603, S607 - our words


def fill(disk: Path, left_bytes: int) -> Path:
    """Fill a disk but for so many bytes; returns the file that does."""
    path, seen = disk / "filling", os.statvfs(disk)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, seen.f_bavail * seen.f_frsize - left_bytes)
    return path


@asynccontextmanager
async def open_mall(
    folder: Path, settings: dict[str, str], *, gateway: bool = False, on_disk: bool = False
) -> AsyncIterator[DrilledMall]:
    """A running server and all that it needs, from the main thread.

    With `gateway` it has a payment gateway in a process of its own; with `on_disk` its data, of embedded servers, is on
    a small disk.
    """
    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=30)
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        environ, stores, paying, disk = SETTINGS | settings, None, None, None
        if on_disk:
            disk = stack.enter_context(small_disk(folder / "disk"))
            environ |= EMBEDDED
        else:
            stores = stack.enter_context(open_stores(folder / "stores"))
            environ |= stores.environ
        if gateway:
            paying = await stack.enter_async_context(open_gateway_process(folder / "ledger"))
            environ |= {"MALL_GATEWAY_URL": paying.url}
        server = ServerProcess(folder / "server" if disk is None else disk / "mall", environ)
        server.log_path = folder / "server.log"
        stack.push_async_callback(server.end)
        await server.start()
        yield DrilledMall(server, http, stores, paying, disk)
