"""As whom Postgres runs, and how it reaches our folders.

Postgres refuses to run as root. When we are root it therefore runs as the owner of its existing
data, and on fresh data as `nobody`: an account that every system has, so none is ever created.

That account usually cannot walk to a data folder which root keeps under, say, /root. Three cures
were weighed. Opening the folders above up for others changes things that are not ours. Keeping the
data elsewhere, with a note of where, splits it from the folder that people back up, move and
delete. So instead root opens the folder and Postgres inherits the descriptor: /proc/self/fd/N then
names the folder itself, and nothing above it is ever walked. No permission changes and no data
moves. (/proc/self/cwd would be simpler, but up to Postgres 15 looking up its own program leaves the
working directory and cannot get back in.) Without /proc, so on macOS, root needs a data folder that
`nobody` can reach.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from actors.frozen import frozen

_DESCRIPTORS = Path("/proc/self/fd")
_NOBODY = 65534


@frozen
class Account:
    """The user and group that a server process drops to."""

    uid: int
    gid: int


@frozen
class Reach:
    """The names under which a server opens folders, and the descriptors it must inherit for it."""

    names: tuple[str, ...]
    descriptors: tuple[int, ...] = ()


def postgres_account(cluster: Path) -> Account | None:
    """Whom to drop to for a Postgres on `cluster`; None means to stay who we are.

    Raises:
        OSError: `cluster` exists and cannot be examined.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        owner = cluster.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(_NOBODY, _NOBODY)
    return Account(nobody.pw_uid, nobody.pw_gid)


@contextmanager
def reach(account: Account | None, *folders: Path) -> Iterator[Reach]:
    """How `account` reaches `folders`; valid inside the block, and in processes spawned there.

    Raises:
        OSError: a folder cannot be opened.
    """
    if account is None or not _DESCRIPTORS.is_dir():
        yield Reach(tuple(str(folder) for folder in folders))
        return
    with ExitStack() as stack:
        opened: list[int] = []
        for folder in folders:
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, number)
            opened.append(number)
        yield Reach(tuple(f"{_DESCRIPTORS}/{number}" for number in opened), tuple(opened))


def give(path: Path, account: Account | None) -> None:
    """Makes a path of ours belong to the account; does nothing when we stay who we are.

    Raises:
        OSError: the file system refuses.
    """
    if account is not None:
        os.chown(path, account.uid, account.gid)
