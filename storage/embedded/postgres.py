"""Embedded Postgres in a data folder, run as a child process."""

import os
import signal
import types
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from storage.embedded.binaries import find_postgres
from storage.embedded.data_directory import (
    DATABASE,
    SERVER,
    SOCKET_NAME,
    USER,
    clear_leftovers,
    cluster_exists,
    create_cluster,
    sweep_unfinished,
)
from storage.embedded.errors import EmbeddedError, disk_full, disk_is_full, system_errors_explained
from storage.embedded.folder import FolderLock, ServerLog, prepare
from storage.embedded.install import Install, usable_install
from storage.embedded.os_account import Account, adopt, postgres_account, reach
from storage.embedded.peer_auth import write_guard
from storage.embedded.process import ServerProcess, require_main_thread, wait_for_orphans, wait_until
from storage.embedded.unix_sockets import forget_socket_folder, postgres_answers, socket_folder

StopMode = Literal["fast", "immediate"]

# Recovery after a crash reads the log since the last checkpoint.
_START_SECONDS = 120.0
_STOPPING: dict[StopMode, list[tuple[signal.Signals, float]]] = {
    "fast": [(signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)],
    "immediate": [(signal.SIGQUIT, 5.0)],
}
_SETTINGS = (
    "listen_addresses=",
    "shared_buffers=128MB",
    "max_connections=100",
    "synchronous_commit=on",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_error_statement=error",
    "log_checkpoints=off",
)
_FORGETFUL = ("fsync=off", "full_page_writes=off")


class EmbeddedPostgres:
    """Postgres server on the subfolder `postgres` of a data folder.

    Args:
        data_dir: the data folder; made when missing.
        bin_dir: the folder of initdb and postgres; None looks for one.
        durable: False gives up safety against a crash of the machine (not of the server) for speed.
            That holds for the folder's data from then on, not for the one run.
        guarded: only root, the user of this process and the owner of the data folder may connect, as the kernel
            identifies them. Without it, any user that reaches the socket.
    """

    def __init__(
        self, data_dir: Path, bin_dir: Path | None = None, durable: bool = True, guarded: bool = False
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.cluster = self.data_dir / "postgres"
        self._bin_dir = bin_dir
        self._durable = durable
        self._guarded = guarded
        self._lock = FolderLock(self.data_dir / "postgres.lock")
        self._log = ServerLog(self.data_dir / "postgres.log")
        self._sockets = self.cluster
        self._install: Install | None = None
        self._process: ServerProcess | None = None

    @property
    def database_url(self) -> str:
        """URL of the database, for asyncpg and libpq; set by the first start."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._sockets))}"

    @property
    def server_url(self) -> str:
        """URL for the role that owns the database without being a superuser; `give_to_server` creates it."""
        return self.database_url.replace(f"//{USER}@", f"//{SERVER}@")

    @property
    def pid(self) -> int | None:
        """Pid of the server; None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until the database can be used. May be repeated after a stop.

        Raises:
            EmbeddedError: it cannot start; no process is left, and existing data is untouched.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """First half of `start`: create the data if needed and start the process.

        Raises:
            EmbeddedError: it cannot.
        """
        require_main_thread()
        if self._process is not None:
            raise EmbeddedError(f"This Postgres already runs as process {self.pid}.")
        with system_errors_explained(self.data_dir, "start Postgres"):
            prepare(self.data_dir)
            self._lock.acquire()
            try:
                self._launch()
            except BaseException:
                self._let_go()
                raise

    def wait_ready(self) -> None:
        """Second half of `start`: wait until the database can be used.

        Raises:
            EmbeddedError: the server ended or did not answer in time; it is stopped.
        """
        socket = self._sockets / SOCKET_NAME
        try:
            with system_errors_explained(self.data_dir, "start Postgres"):
                if not wait_until(lambda: self._ended() or self._answers(socket), _START_SECONDS):
                    raise EmbeddedError(
                        f"Postgres did not answer within {_START_SECONDS:.0f} s. {self._log.told()}"
                    )
                if self._ended():
                    raise self._why_ended()
        except BaseException:
            self.stop()
            raise

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait. Does nothing if it does not run.

        Args:
            mode: "fast" ends all sessions and writes all data; "immediate" ends at once and leaves the rest to recovery
                at the next start. A server that does not stop is killed.
        """
        self._end(_STOPPING[mode])

    def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash. The next start recovers."""
        self._end([])

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start again, under the same URL.

        Raises:
            EmbeddedError: it cannot start.
        """
        self.stop(mode)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        account = postgres_account(self.cluster)
        bin_dir = self._bin_dir or find_postgres()
        self._install = usable_install(bin_dir, account, self.data_dir)
        sweep_unfinished(self.cluster)
        if not cluster_exists(self.cluster, self._install):
            create_cluster(self.cluster, self._install, account, durable=self._durable)
        wait_for_orphans(self.cluster, "postgres")
        adopt(self.cluster, account)
        owner = self.cluster.stat().st_uid
        self._sockets = socket_folder(self.cluster, SOCKET_NAME, owner)
        clear_leftovers(self.cluster, self._sockets)
        self._process = self._serve(self._install, account)

    def _serve(self, install: Install, account: Account | None) -> ServerProcess:
        output = self._log.open()
        try:
            with reach(account, self.cluster, self._sockets) as view:
                data, sockets = view.names
                settings = [*_SETTINGS, f"unix_socket_directories={sockets}"]
                if not self._durable:
                    settings += _FORGETFUL
                if self._guarded:
                    settings += write_guard(self.cluster, self.data_dir, data, account)
                options = [part for setting in settings for part in ("-c", setting)]
                return ServerProcess(
                    [str(install.bin_dir / "postgres"), "-D", data, *options],
                    output=output,
                    # A fast shutdown, without waiting for sessions.
                    death_signal=signal.SIGINT,
                    cwd="/",
                    account=account,
                    descriptors=view.descriptors,
                )
        finally:
            os.close(output)

    def _answers(self, socket: Path) -> bool:
        return postgres_answers(socket, USER, DATABASE)

    def _ended(self) -> bool:
        return self._process is None or not self._process.running

    def _why_ended(self) -> EmbeddedError:
        told = self._log.told()
        if disk_is_full(self.data_dir, told):
            return disk_full(self.data_dir, "start Postgres")
        return EmbeddedError(f"Postgres ended while it started. {told}")

    def _end(self, steps: list[tuple[signal.Signals, float]]) -> None:
        if self._process is not None:
            self._process.end(*steps)
            self._process = None
        self._let_go()

    def _let_go(self) -> None:
        """Release all resources of a start except the process."""
        if self._install is not None:
            self._install.remove_links()
            self._install = None
        forget_socket_folder(self._sockets, self.cluster)
        self._lock.release()
