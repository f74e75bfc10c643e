"""Embedded servers: Postgres and Valkey in a data folder, for one process.

All calls are synchronous: servers are started from the main thread, before there is an event loop. The layout of a data
folder is `postgres/` and `valkey/` (the data and, when the path is short enough, the sockets), and for each server a
`.log` and a `.lock`.

Map:
postgres.py        the embedded Postgres
valkey.py          the embedded Valkey
binaries.py        finds the servers' programs
install.py         programs in a place that the server's account can reach
peer_auth.py       which users of the machine may connect
os_account.py      operating system account of a server
data_directory.py  a Postgres data directory: made whole or not at all
folder.py          a server's folder: lock, log, leftovers
unix_sockets.py    short, private paths for Unix sockets
process.py         child processes that end when their parent ends
preflight.py       checks the files that a start needs, and changes nothing
errors.py          error texts that a person can act on
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import field
from pathlib import Path

from actors.values import frozen
from storage.embedded.errors import EmbeddedError
from storage.embedded.postgres import EmbeddedPostgres, StopMode
from storage.embedded.valkey import EmbeddedValkey

__all__ = [
    "EmbeddedError",
    "EmbeddedPostgres",
    "EmbeddedValkey",
    "Servers",
    "StopMode",
    "open_embedded",
    "start_embedded",
]


@frozen
class Servers:
    """Two running servers and their addresses. They also stop when this process ends in any way."""

    database_url: str
    redis_url: str
    _running: ExitStack = field(repr=False, compare=False)

    def stop(self) -> None:
        """Stop both and wait. Idempotent."""
        self._running.close()


def start_embedded(data_dir: Path, *, durable: bool = True, postgres_bin: Path | None = None) -> Servers:
    """Start both servers in parallel and wait until both can be used.

    Args:
        data_dir: where their data is or will be; private to its first user.
        durable: False for tests: a crash of the machine may cost the data.
        postgres_bin: the folder of initdb and postgres; None: search for one.

    Raises:
        EmbeddedError: a server cannot run; both are stopped, and existing data is untouched.
    """
    postgres = EmbeddedPostgres(data_dir, postgres_bin, durable)
    valkey = EmbeddedValkey(data_dir, durable=durable)
    with ExitStack() as started:
        started.callback(valkey.stop)
        valkey.launch()
        started.callback(postgres.stop)
        postgres.launch()
        valkey.wait_ready()
        postgres.wait_ready()
        return Servers(postgres.database_url, valkey.redis_url, started.pop_all())


@contextmanager
def open_embedded(data_dir: Path, *, durable: bool = True) -> Iterator[Servers]:
    """Run both servers until the block ends.

    Raises:
        EmbeddedError: a server cannot run.
    """
    servers = start_embedded(data_dir, durable=durable)
    try:
        yield servers
    finally:
        servers.stop()
