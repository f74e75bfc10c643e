"""Data folder of the embedded servers: creation, lock and logs."""

import fcntl
import hashlib
import os
import stat
from pathlib import Path

from storage.embedded.errors import EmbeddedError

_LOG_LIMIT_BYTES = 10 << 20
_LINES_TOLD = 15
_LOG_BYTES_READ = 16 << 10


def prepare(data_dir: Path) -> None:
    """Create the data folder if it is missing, private to its owner.

    Raises:
        EmbeddedError: the path is not a data folder of this program.
        OSError: it cannot be made.
    """
    if data_dir.exists() and not data_dir.is_dir():
        raise EmbeddedError(f"{data_dir} is not a folder. Choose another data folder.")
    if (data_dir / "PG_VERSION").exists():
        raise EmbeddedError(
            f"{data_dir} is itself the data of a Postgres that is not ours; nothing was changed. "
            "Choose another data folder."
        )
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def short_key(folder: Path) -> str:
    """Short, stable name of this folder, for files that must be outside it."""
    return hashlib.blake2b(os.fsencode(folder), digest_size=6).hexdigest()


def open_own(path: Path, flags: int) -> int:
    """Open a file, created if missing. A file that root creates gets the folder's owner.

    Otherwise one run as root would lock the owner out of the folder.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


class FolderLock:
    """Lock that gives a folder to one server. The kernel releases it when the holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Acquire the lock.

        Raises:
            EmbeddedError: another process (or this one, elsewhere) holds it.
            OSError: the lock file cannot be opened or written.
        """
        descriptor = open_own(self._path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise EmbeddedError(self._taken(holder)) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock, if it is held. The file stays: its removal would race with an `acquire`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _taken(self, holder: str) -> str:
        who = f"process {holder}" if holder else "another process"
        if holder == str(os.getpid()):
            who += " (this one)"
        return (
            f"The data folder {self._path.parent} is in use by {who}. "
            "Stop that process first, or choose another data folder."
        )


def last_lines(text: str) -> str:
    """The last lines of a program's output, for an error message."""
    return "\n".join(text.strip().splitlines()[-_LINES_TOLD:])


class ServerLog:
    """A server's log file: appended to, and set aside at a start once it is large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open(self) -> int:
        """Open the log for a server that starts now.

        Raises:
            OSError: it cannot be opened.
        """
        if self._path.exists() and self._path.stat().st_size > _LOG_LIMIT_BYTES:
            self._path.replace(self._path.with_suffix(".log.old"))
        descriptor = open_own(self._path, os.O_WRONLY | os.O_APPEND)
        self._start = os.fstat(descriptor).st_size
        return descriptor

    def last_lines(self) -> str:
        """The last lines that the server has written since its start."""
        with self._path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._start, end - _LOG_BYTES_READ))
            text = log.read().decode("utf-8", "replace")
        return last_lines(text)

    def told(self) -> str:
        """The log's last lines, as the end of an error message."""
        lines = self.last_lines()
        return f"The end of {self._path}:\n{lines}" if lines else f"It left {self._path} empty."


def private_folder(path: Path, owner: int) -> None:
    """Create a folder that only `owner` and root can enter, in a world-writable place.

    Raises:
        EmbeddedError: another user has made it, or others can enter it.
        OSError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        ours = found.st_uid in (owner, os.geteuid())
        if not stat.S_ISDIR(found.st_mode) or not ours or found.st_mode & 0o077:
            raise EmbeddedError(
                f"{path} exists and is not a private folder of ours. Remove it and start again."
            ) from None
    if os.geteuid() == 0:
        os.chown(path, owner, -1)
