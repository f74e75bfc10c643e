"""Operating system account of Postgres, and its access to the data folder.

Postgres refuses to run as root. If this program is root, Postgres runs as the owner of its existing data, and with new
data as `mall-postgres`, which is created if missing, or else as the system's `postgres`. It never runs as `nobody`:
many programs do, and a process with the same user id can enter the data through /proc/<pid>/cwd. Data that an earlier
version gave to `nobody` gets the new account. Without any account root is refused.

The account usually cannot reach a data folder under /root. To open the folders above it would change permissions of
foreign folders. To keep the data elsewhere would separate it from the folder that people back up, move and delete. So
root opens the folder and Postgres inherits the descriptor: /proc/self/fd/N names the folder itself, without its
parents. No permission changes and no data moves. (/proc/self/cwd would be simpler, but up to Postgres 15 the search for
its own program leaves the working directory and cannot return.) Without /proc, as on macOS, root needs a data folder
that the account can reach.
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
# Accounts that only Postgres uses, the preferred one first.
_DEDICATED = (OWN, "postgres", "_postgres")
_MAKING = (
    ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
     "--shell", "/usr/sbin/nologin", OWN),
    ("adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", OWN),
)  # fmt: skip
_MAKING_SECONDS = 20.0


@frozen
class Account:
    """User and group of a server process."""

    uid: int
    gid: int


@frozen
class Reach:
    """Paths under which a server opens its folders, and the descriptors that it must inherit."""

    names: tuple[str, ...]
    descriptors: tuple[int, ...] = ()


def postgres_account(cluster: Path) -> Account | None:
    """The account for a Postgres on `cluster`; None: the present user.

    Raises:
        OSError: `cluster` exists and cannot be examined.
        EmbeddedError: this is root, and there is no account for Postgres.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        owner = cluster.stat()
        if owner.st_uid != 0 and not _is_left_to_nobody(cluster):
            return Account(owner.st_uid, owner.st_gid)
    return _dedicated_account()


def _is_left_to_nobody(cluster: Path) -> bool:
    """True for data that an earlier version gave to `nobody`; not if `nobody` owns the folder above too."""
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
                # Looked up again, because two starts may create it at once.
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
            # The system's own Postgres account is the last choice.
            if name == OWN or not _can_make():
                return Account(entry.pw_uid, entry.pw_gid)
    return None


def _can_make() -> bool:
    return os.access("/etc/passwd", os.W_OK) and any(
        shutil.which(making[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") for making in _MAKING
    )


def adopt(cluster: Path, account: Account | None) -> None:
    """Give data to the account that will serve it, if another one owns it. No server may run on it.

    Raises:
        OSError: the file system refuses.
    """
    if account is None or cluster.stat().st_uid == account.uid:
        return
    for _, folders, files, here in os.fwalk(cluster, topdown=False, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, account.uid, account.gid, dir_fd=here, follow_symlinks=False)
    # Last, so that an interrupted start repeats it.
    os.chown(cluster, account.uid, account.gid)


@contextmanager
def reach(account: Account | None, *folders: Path) -> Iterator[Reach]:
    """Paths under which `account` reaches `folders`; valid inside the block and in its child processes.

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
    """Give a path to the account, if there is one.

    Raises:
        OSError: the file system refuses.
    """
    if account is not None:
        os.chown(path, account.uid, account.gid)
