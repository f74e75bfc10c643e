"""Child processes that end when we end, even by kill -9, and not before.

Linux tells a process when its parent dies (PR_SET_PDEATHSIG). Elsewhere a tiny watchdog process
does: it holds the other end of a pipe of ours, which closes with us.
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
# A server takes its settings from us alone, not from variables such as PGDATA or LC_ALL.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
_WATCHDOG = "import os, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), int(sys.argv[2]))"
# A server that lost its supervisor stops by itself, after writing out what it must.
_ORPHAN_SECONDS = 5.0

# Whether all the processes that work in a folder can be found.
PROC_TELLS = Path("/proc/self/cwd").exists()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls the condition every 10 ms; returns whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def require_main_thread() -> None:
    """Checks that servers may be started here.

    Raises:
        EmbeddedError: on any other thread. To Linux "the parent died" means that the thread which
            started the child ended, so a server started by a worker would stop with that worker.
    """
    if threading.current_thread() is not threading.main_thread():
        raise EmbeddedError("Embedded servers can only be started from the main thread.")


class ServerProcess:
    """A running server in the foreground of its own session: a Ctrl-C does not reach it."""

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
        """Sends each signal in turn until the process ends; gives each the seconds beside it.

        After the last one it is killed.
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
    """Runs a program to its end; returns its exit status and all that it said.

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
        # The whole session: initdb leaves the real work to children of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise EmbeddedError(f"{arguments[0]} did not end within {seconds:.0f} s.") from error
        raise
    return process.returncode, said.decode("utf-8", "replace")


def processes_inside(folder: Path, program: str) -> list[int]:
    """The running processes called `program` that work in `folder`, where /proc can tell."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = (entry / "comm").read_text().strip()
            # The kernel keeps 15 letters of a name.
            if name == program[:15] and (entry / "cwd").samefile(folder):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else and so not to our folder
    return sorted(found)


def wait_for_orphans(folder: Path, program: str) -> None:
    """Waits until no `program` works in `folder`. The caller holds the folder's lock.

    Raises:
        EmbeddedError: one goes on running.
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
        # Forking beside other threads is risky only for code that takes locks; ours takes none.
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
    """What a child does before it becomes the server.

    It runs after the change of user, which would clear the setting, and the setting outlives exec.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # died before we asked to be told
            os._exit(1)

    return arm


def _watch(pid: int, death_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Starts the watchdog of a process, for systems other than Linux."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(pid), str(int(death_signal))],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # that the process is gone already is no news
        start_new_session=True,
    )
