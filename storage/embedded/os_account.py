"""As whom Postgres runs, and how it reaches our folders.

Postgres refuses to run as root. When we are root it therefore runs as the owner of its existing
data, and on fresh data as `mall-postgres`, which is made where it is missing, or else as the
`postgres` of the system. Never as `nobody`: many programs run as that, and whoever has the same user
id walks through /proc/<pid>/cwd into the data. Data that an earlier version gave to `nobody` are
given to the new account. Where there is none and none can be made, root is refused.

That account usually cannot walk to a data folder which root keeps under, say, /root. Three cures
were weighed. Opening the folders above up for others changes things that are not ours. Keeping the
data elsewhere, with a note of where, splits it from the folder that people back up, move and
delete. So instead root opens the folder and Postgres inherits the descriptor: /proc/self/fd/N then
names the folder itself, and nothing above it is ever walked. No permission changes and no data
moves. (/proc/self/cwd would be simpler, but up to Postgres 15 looking up its own program leaves the
working directory and cannot get back in.) Without /proc, so on macOS, root needs a data folder that
the account can reach.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from actors.values import frozen
from storage.embedded.errors import EmbeddedError

_DESCRIPTORS = Path("/proc/self/fd")
OWN = "mall-postgres"
# Accounts of Postgres alone, the best first.
_DEDICATED = (OWN, "postgres", "_postgres")
_MAKING = (
    ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
     "--shell", "/usr/sbin/nologin", OWN),
    ("adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", OWN),
)  # fmt: skip
_MAKING_SECONDS = 20.0


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
        EmbeddedError: we are root, and there is nobody to drop to.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        owner = cluster.stat()
        if owner.st_uid != 0 and not _is_left_to_nobody(cluster):
            return Account(owner.st_uid, owner.st_gid)
    return _dedicated_account()


def _is_left_to_nobody(cluster: Path) -> bool:
    """Data of root that `nobody` owns; where it owns the folder above, too, it is the user who began."""
    owner = cluster.stat().st_uid
    return owner != cluster.parent.stat().st_uid and owner in _nobodies()


def _nobodies() -> set[int]:
    found = {65534}
    with suppress(KeyError):
        found.add(pwd.getpwnam("nobody").pw_uid)
    return found


def _dedicated_account() -> Account:
    found = _find()
    if found is None:
        for program, *options in _MAKING:
            path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
            if path is not None:
                with suppress(OSError, subprocess.TimeoutExpired):
                    subprocess.run(
                        [path, *options], capture_output=True, timeout=_MAKING_SECONDS, check=False
                    )
                # Whoever made it: two starts may try at once.
                found = _find()
            if found is not None:
                break
    if found is None:
        raise EmbeddedError(
            f"Postgres refuses to run as root, and no user {OWN} can be made here. Run as an ordinary user, "
            f"make a system user {OWN}, or set DATABASE_URL."
        )
    return found


def _find() -> Account | None:
    for name in _DEDICATED:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            # The account of the system's own Postgres will do only when there is no other way.
            if name == OWN or not _can_make():
                return Account(entry.pw_uid, entry.pw_gid)
    return None


def _can_make() -> bool:
    return os.access("/etc/passwd", os.W_OK) and any(
        shutil.which(making[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") for making in _MAKING
    )


def adopt(cluster: Path, account: Account | None) -> None:
    """Give data to the account that will serve it, where it is somebody else's. Nobody may be serving it.

    Raises:
        OSError: the file system refuses.
    """
    if account is None or cluster.stat().st_uid == account.uid:
        return
    for _, folders, files, here in os.fwalk(cluster, topdown=False, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, account.uid, account.gid, dir_fd=here, follow_symlinks=False)
    # Last, so that a start which was cut short begins again.
    os.chown(cluster, account.uid, account.gid)


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
