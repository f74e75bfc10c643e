"""Postgres data directory: created completely or not at all; foreign files are never touched."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from storage.embedded.errors import EmbeddedError, disk_full, disk_is_full
from storage.embedded.folder import last_lines
from storage.embedded.install import Install
from storage.embedded.os_account import Account, give, reach
from storage.embedded.process import PROC_TELLS, processes_inside, run_to_end, wait_for_orphans, wait_until
from storage.embedded.unix_sockets import refuse_taken

USER = DATABASE = "mall"
# The role that owns the database and its objects. It is not a superuser.
SERVER = "mall_server"
SOCKET_NAME = ".s.PGSQL.5432"
_UNFINISHED = "postgres.unfinished-"
# Time for a killed child of initdb to end.
_ENDING_SECONDS = 2.0
_LOCALE_17 = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
# Before Postgres 17 the system's C.UTF-8 is nearest: byte order, and upper() for all letters.
_LOCALE_LINUX = ("--lc-collate=C", "--lc-ctype=C.UTF-8")


def cluster_exists(cluster: Path, install: Install) -> bool:
    """True if `cluster` has data that these programs can serve.

    Raises:
        EmbeddedError: it has other files, which stay as they are.
        OSError: it cannot be read.
    """
    if not cluster.exists():
        return False
    marker = cluster / "PG_VERSION"
    if marker.exists():
        version = marker.read_text().strip()
        if version == str(install.major):
            return True
        raise EmbeddedError(
            f"The data in {cluster} was made by Postgres {version}, and the programs in "
            f"{install.bin_dir} are Postgres {install.major}. Nothing was changed. Point "
            f"MALL_POSTGRES_BIN at the bin folder of a Postgres {version}, or move the data folder "
            "away to start afresh."
        )
    if not cluster.is_dir() or any(cluster.iterdir()):
        raise EmbeddedError(
            f"{cluster} holds something that is not Postgres data (it has no PG_VERSION). "
            "Nothing was changed. Choose another data folder."
        )
    return False


def sweep_unfinished(cluster: Path) -> None:
    """Remove unfinished folders of a `create_cluster` that was killed, as far as possible.

    Its programs may still be ending; the next start removes what they write now.
    """
    for left in cluster.parent.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def create_cluster(cluster: Path, install: Install, account: Account | None, *, durable: bool) -> None:
    """Create `cluster` with the database in it.

    The files are made in a sibling folder, which is renamed to `cluster` when it is complete.

    Raises:
        EmbeddedError: a program failed, as on a full disk.
        OSError: a folder cannot be made or renamed.
    """
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=cluster.parent))
    try:
        give(unfinished, account)
        with reach(account, unfinished) as view:
            for program, *options, given in _making(view.names[0], install.major, durable):
                status, said = run_to_end(
                    [str(install.bin_dir / program), *options],
                    account=account,
                    descriptors=view.descriptors,
                    given=given,
                )
                if status != 0:
                    raise _cannot_make(cluster, program, said)
        unfinished.rename(cluster)
        if durable:  # or a crash of the machine could lose the new name
            _sync(cluster.parent)
    except BaseException:
        wait_until(lambda: not processes_inside(unfinished, "postgres"), _ENDING_SECONDS)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _making(folder: str, major: int, durable: bool) -> list[list[str]]:
    """Programs to run, each with its options and its standard input."""
    initdb = ["initdb", "-D", folder, "-A", "trust", "-U", USER, "-E", "UTF8"]
    # No clean-up by initdb: it is done here, after a check for a full disk.
    initdb += ["--no-instructions", "--data-checksums", "--no-clean"]
    if major >= 17:
        initdb += _LOCALE_17
    elif sys.platform == "linux":
        initdb += _LOCALE_LINUX
    if not durable:
        initdb.append("--no-sync")
    # A single-user server for one statement. It fails if the statement fails.
    single = ["postgres", "--single", "-D", folder, "-c", "exit_on_error=on"]
    if not durable:
        single += ["-c", "fsync=off"]
    create = f"CREATE DATABASE {DATABASE} OWNER {USER};\n"
    return [[*initdb, ""], [*single, "template1", create]]


def _cannot_make(cluster: Path, program: str, said: str) -> EmbeddedError:
    if disk_is_full(cluster.parent, said):
        return disk_full(cluster, "create the database")
    hint = ""
    if "could not look up effective user ID" in said:
        hint = (
            "\nPostgres needs the user it runs as to have a name: run as a user that is listed in "
            "/etc/passwd, as root, or (in a container) add a line for this user there."
        )
    return EmbeddedError(
        f"Cannot create the database in {cluster}: {program} failed.\n{last_lines(said)}{hint}"
    )


def clear_leftovers(cluster: Path, sockets: Path) -> None:
    """Wait for processes that an earlier run left on `cluster`, then remove stale files.

    The caller holds the folder's lock, so a process that runs here has lost its supervisor. A pid in postmaster.pid
    proves nothing, because pids are reused after a crash or in a new container, and Postgres would refuse to start
    because of an unrelated process. So if /proc shows that no process is left in the folder, the file is removed.
    Without /proc, Postgres itself decides.

    Raises:
        EmbeddedError: a Postgres keeps running there, or another process serves the socket.
        OSError: a stale file cannot be removed.
    """
    wait_for_orphans(cluster, "postgres")
    refuse_taken(sockets / SOCKET_NAME)
    if not PROC_TELLS:
        return
    for stale in (
        cluster / "postmaster.pid",
        sockets / SOCKET_NAME,
        sockets / f"{SOCKET_NAME}.lock",
    ):
        stale.unlink(missing_ok=True)
