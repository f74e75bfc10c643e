"""Embedded Valkey in a data folder, run as a child process.

None of its data must survive a crash, because Postgres has the durable data. It still keeps a log of changes, which
costs little and saves a cold start.
"""

import os
import shutil
import signal
from pathlib import Path

from storage.embedded.binaries import find_valkey
from storage.embedded.errors import EmbeddedError, disk_full, disk_is_full, system_errors_explained
from storage.embedded.folder import FolderLock, ServerLog, prepare
from storage.embedded.process import ServerProcess, require_main_thread, wait_for_orphans, wait_until
from storage.embedded.unix_sockets import forget_socket_folder, refuse_taken, socket_folder, valkey_answers

SOCKET_NAME = "valkey.sock"
_START_SECONDS = 60.0
_STOPPING = ((signal.SIGTERM, 10.0),)
_OPTIONS = (
    *("--port", "0"),
    *("--unixsocketperm", "700"),
    *("--daemonize", "no"),
    *("--save", ""),
    *("--maxmemory", "256mb"),
    *("--maxmemory-policy", "noeviction"),
    *("--appendfsync", "everysec"),
)
# Names of kept data: a folder since Redis 7, a file before.
_KEPT = ("appendonlydir", "appendonly.aof")


class EmbeddedValkey:
    """Redis-compatible server on the subfolder `valkey` of a data folder.

    Args:
        data_dir: the data folder; made when missing.
        program: the server program; None looks for one.
        durable: False keeps nothing on disk.
    """

    def __init__(self, data_dir: Path, program: Path | None = None, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.home = self.data_dir / "valkey"
        self._program = program
        self._durable = durable
        self._lock = FolderLock(self.data_dir / "valkey.lock")
        self._log = ServerLog(self.data_dir / "valkey.log")
        self._sockets = self.home
        self._process: ServerProcess | None = None

    @property
    def redis_url(self) -> str:
        """URL of the server; set by the first start."""
        return f"unix://{self._sockets / SOCKET_NAME}"

    @property
    def pid(self) -> int | None:
        """Pid of the server; None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers. May be repeated after a stop.

        Raises:
            EmbeddedError: it cannot start; no process is left.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """First half of `start`: start the process.

        Raises:
            EmbeddedError: it cannot.
        """
        require_main_thread()
        if self._process is not None:
            raise EmbeddedError(f"This Valkey already runs as process {self.pid}.")
        with system_errors_explained(self.data_dir, "start Valkey"):
            prepare(self.data_dir)
            self._lock.acquire()
            try:
                self.home.mkdir(mode=0o700, exist_ok=True)
                self._sockets = socket_folder(self.home, SOCKET_NAME, os.geteuid())
                program = self._program or find_valkey()
                # Two writers would corrupt the kept data.
                wait_for_orphans(self.home, program.resolve().name)
                refuse_taken(self._sockets / SOCKET_NAME)
                self._process = self._serve(program)
            except BaseException:
                self._let_go()
                raise

    def wait_ready(self) -> None:
        """Second half of `start`: wait until the server answers.

        Raises:
            EmbeddedError: the server ended or did not answer in time; it is stopped.
        """
        try:
            with system_errors_explained(self.data_dir, "start Valkey"):
                self._wait_for_answer()
                if self._ended() and self._set_kept_aside():
                    self._process = self._serve(self._program or find_valkey())
                    self._wait_for_answer()
                if self._ended():
                    raise EmbeddedError(f"Valkey ended while it started. {self._log.told()}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and wait. Does nothing if it does not run."""
        self._end(*_STOPPING)

    def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash."""
        self._end()

    def _serve(self, program: Path) -> ServerProcess:
        output = self._log.open()
        try:
            return ServerProcess(
                [
                    str(program),
                    *("--unixsocket", str(self._sockets / SOCKET_NAME)),
                    *("--appendonly", "yes" if self._durable else "no"),
                    *_OPTIONS,
                ],
                output=output,
                death_signal=signal.SIGTERM,
                cwd=str(self.home),  # the folder of its files
            )
        finally:
            os.close(output)

    def _wait_for_answer(self) -> None:
        socket = self._sockets / SOCKET_NAME
        if not wait_until(lambda: self._ended() or valkey_answers(socket), _START_SECONDS):
            raise EmbeddedError(f"Valkey did not answer within {_START_SECONDS:.0f} s. {self._log.told()}")

    def _set_kept_aside(self) -> bool:
        """Set data aside that the server cannot read. Returns True if there was any.

        It is damaged, or of a newer version. In both cases an empty start is better than none.

        Raises:
            EmbeddedError: the disk is full, which is not the data's fault.
        """
        if disk_is_full(self.data_dir, self._log.told()):
            raise disk_full(self.data_dir, "start Valkey")
        kept = [self.home / name for name in _KEPT if (self.home / name).exists()]
        for path in kept:
            aside = path.with_name(f"{path.name}.unreadable")
            if aside.is_dir():
                shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        return bool(kept)

    def _ended(self) -> bool:
        return self._process is None or not self._process.running

    def _end(self, *steps: tuple[signal.Signals, float]) -> None:
        if self._process is not None:
            self._process.end(*steps)
            self._process = None
        self._let_go()

    def _let_go(self) -> None:
        """Release all resources of a start except the process."""
        forget_socket_folder(self._sockets, self.home)
        self._lock.release()
