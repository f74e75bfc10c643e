"""Child processes that end when their parent ends, even by kill -9.

Linux signals a process when its parent dies (PR_SET_PDEATHSIG). On other systems a small watchdog process does so: it
holds the other end of a pipe that closes when the parent ends.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.embedded.errors import EmbeddedError
from storage.embedded.os_account import Account

_POLL_SECONDS = 0.01
_PR_SET_PDEATHSIG = 1
_KERNEL_TELLS = sys.platform == "linux"
# A server gets its settings from here only, not from variables like PGDATA or LC_ALL.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
_WATCHDOG = "import os, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), int(sys.argv[2]))"
# Time for a server that lost its supervisor to write its data and stop.
_ORPHAN_SECONDS = 5.0

# True if /proc shows all processes that work in a folder.
PROC_TELLS = Path("/proc/self/cwd").exists()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll the condition every 10 ms. Returns True if it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def require_main_thread() -> None:
    """Check that servers may be started on this thread.

    Raises:
        EmbeddedError: on any other thread. For Linux, the parent has died when the thread that started the child has
            ended, so a server started by a worker thread would stop with it.
    """
    if threading.current_thread() is not threading.main_thread():
        raise EmbeddedError("Embedded servers can only be started from the main thread.")


class ServerProcess:
    """Running server in its own session, which a Ctrl-C does not reach."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        output: int,
        death_signal: signal.Signals,
        cwd: str,
        account: Account | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self._process = _spawn(arguments, subprocess.DEVNULL, output, death_signal, cwd, account, descriptors)
        self._watchdog = None
        if not _KERNEL_TELLS:
            self._watchdog = _watch(self._process.pid, death_signal)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn until the process ends, each with its seconds to wait.

        After the last one the process is killed.
        """
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        for name, seconds in steps:
            if self.running:
                self._process.send_signal(name)
                wait_until(lambda: not self.running, seconds)
        if self.running:
            self._process.kill()
        self._process.wait()


def run_to_end(
    arguments: Sequence[str],
    *,
    account: Account | None = None,
    descriptors: Sequence[int] = (),
    given: str = "",
    seconds: float = 120.0,
) -> tuple[int, str]:
    """Run a program to its end. Returns its exit status and its output.

    Raises:
        EmbeddedError: it did not end in time.
        OSError: it cannot be run.
    """
    process = _spawn(
        arguments,
        subprocess.PIPE,
        subprocess.PIPE,
        signal.SIGKILL,
        "/",
        account,
        descriptors,
    )
    try:
        said, _ = process.communicate(given.encode(), timeout=seconds)
    except BaseException as error:
        # The whole session, because initdb works in child processes.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise EmbeddedError(f"{arguments[0]} did not end within {seconds:.0f} s.") from error
        raise
    return process.returncode, said.decode("utf-8", "replace")


def processes_inside(folder: Path, program: str) -> list[int]:
    """Running processes of `program` that work in `folder`, as far as /proc shows them."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = (entry / "comm").read_text().strip()
            # The kernel keeps 15 characters of a name.
            if name == program[:15] and (entry / "cwd").samefile(folder):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or belongs to another user and so not to this folder
    return sorted(found)


def wait_for_orphans(folder: Path, program: str) -> None:
    """Wait until no `program` works in `folder`. The caller holds the folder's lock.

    Raises:
        EmbeddedError: one keeps running.
    """
    if not wait_until(lambda: not processes_inside(folder, program), _ORPHAN_SECONDS):
        pids = ", ".join(str(pid) for pid in processes_inside(folder, program))
        raise EmbeddedError(
            f"A {program} that has lost its supervisor still runs on {folder} (process {pids}). "
            "It may be writing out its last changes: start again in a moment, or stop it first."
        )


def _spawn(
    arguments: Sequence[str],
    stdin: int,
    output: int,
    death_signal: signal.Signals,
    cwd: str,
    account: Account | None,
    descriptors: Sequence[int],
) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with warnings.catch_warnings():
        # A fork beside other threads is risky only for code that takes locks; this code takes none.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment | {"LC_ALL": "C", "TZ": "UTC"},
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            umask=0o077,
            pass_fds=descriptors,
            start_new_session=True,
            preexec_fn=_dying_with_us(death_signal) if _KERNEL_TELLS else None,  # noqa: PLW1509
        )


def _dying_with_us(death_signal: signal.Signals) -> Callable[[], None]:
    """Setup in a child before it becomes the server.

    It runs after the change of user, which would clear the setting. The setting survives exec.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the setting
            os._exit(1)

    return arm


def _watch(pid: int, death_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Start the watchdog of a process, on systems other than Linux."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(pid), str(int(death_signal))],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the process may have ended already
        start_new_session=True,
    )
