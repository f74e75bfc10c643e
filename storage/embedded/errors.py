"""Errors of the embedded servers, with texts that a person can act on."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import CannotStart

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
_SIGNS_OF_NO_SPACE = ("No space left on device", "Disk quota exceeded", "Check free disk space")
# With less space than this, a server cannot write its first log line.
_LEAST_FREE_BYTES = 1 << 20


class EmbeddedError(CannotStart):
    """An embedded server cannot run. The message says why and what to do."""


def disk_is_full(folder: Path, told: str) -> bool:
    """True if a server failed for lack of space, by its output or by the disk.

    The disk is checked too, because a full disk also prevents the server's log.
    """
    if any(sign in told for sign in _SIGNS_OF_NO_SPACE):
        return True
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _LEAST_FREE_BYTES


def disk_full(folder: Path, doing: str) -> EmbeddedError:
    """Make the error for a full disk.

    Args:
        folder: a folder on the full disk.
        doing: the failed action, as in "create the database".
    """
    return EmbeddedError(
        f"Cannot {doing}: the disk that holds {folder} is full. Existing data is untouched. "
        "Free some space (a fresh database needs about 60 MB), or choose a data folder elsewhere."
    )


@contextmanager
def system_errors_explained(folder: Path, doing: str) -> Iterator[None]:
    """Turn an `OSError` of the block into an `EmbeddedError` about `folder`.

    Raises:
        EmbeddedError: whenever the block raises an `OSError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise disk_full(folder, doing) from error
        if error.errno in _NO_RIGHT:
            raise EmbeddedError(
                f"Cannot {doing} in {folder} as {_whoami()}: {error}. A data folder belongs to the "
                "user who first used it: run as that user, or choose another data folder."
            ) from error
        raise EmbeddedError(f"Cannot {doing} in {folder}: {error}.") from error


def _whoami() -> str:
    uid = os.geteuid()
    return "root" if uid == 0 else f"user id {uid}"
