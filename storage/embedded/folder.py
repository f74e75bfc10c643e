"""The data folder: making it, holding it alone, and keeping its logs small."""

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
    """Makes the data folder when it is missing, private to its owner.

    Raises:
        EmbeddedError: the path is taken by something that is not a data folder of ours.
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
    """A short name that always stands for this folder, for things that must live outside it."""
    return hashlib.blake2b(os.fsencode(folder), digest_size=6).hexdigest()


def open_own(path: Path, flags: int) -> int:
    """Opens a file of ours, made if missing; what root makes belongs to the folder's owner.

    Without that, one run as root would lock the ordinary owner out of his own folder.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


class FolderLock:
    """Keeps a folder to one server; the kernel lets go when the holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock.

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
        """Lets go; harmless when not held. The file stays: removing it would race with a taker."""
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
    """As much of what a program said as fits an error message."""
    return "\n".join(text.strip().splitlines()[-_LINES_TOLD:])


class ServerLog:
    """A server's log file: appended to, set aside at start once it is large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def open(self) -> int:
        """Opens the log for a server that starts now.

        Raises:
            OSError: it cannot be opened.
        """
        if self._path.exists() and self._path.stat().st_size > _LOG_LIMIT_BYTES:
            self._path.replace(self._path.with_suffix(".log.old"))
        descriptor = open_own(self._path, os.O_WRONLY | os.O_APPEND)
        self._start = os.fstat(descriptor).st_size
        return descriptor

    def last_lines(self) -> str:
        """The last lines that the server wrote since it was started."""
        with self._path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._start, end - _LOG_BYTES_READ))
            text = log.read().decode("utf-8", "replace")
        return last_lines(text)

    def told(self) -> str:
        """The last lines, as the end of an error message."""
        lines = self.last_lines()
        return f"The end of {self._path}:\n{lines}" if lines else f"It left {self._path} empty."


def private_folder(path: Path, owner: int) -> None:
    """Makes a folder that only `owner` (and root) can enter, in a place where anybody can make one.

    Raises:
        EmbeddedError: somebody else made it, or it is open to others.
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
