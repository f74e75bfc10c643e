"""Links the Postgres programs into a folder that the server's account can reach.

Other accounts cannot read a virtual environment in root's home. Its Postgres is then hard-linked (or copied, across
file systems) into a folder that all users can enter. This takes under 0.1 s and no disk space, and the original does
not change. The links are made at each start, so that they are never stale, and removed at stop.
"""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from actors.values import frozen
from storage.embedded.errors import EmbeddedError
from storage.embedded.folder import short_key
from storage.embedded.os_account import Account
from storage.embedded.process import run_to_end

# First, places where only root can write and that are not cleaned automatically.
_PLACES = ("/var/cache", "/var/tmp")  # noqa: S108 - _fresh refuses what is not root's
_NOT_NEEDED = shutil.ignore_patterns("include", "pkgconfig", "pgxs", "*.a")


@frozen
class Install:
    """Postgres programs that the server's account can run."""

    bin_dir: Path
    major: int
    # Linked folder, to be removed when the server has stopped.
    linked: Path | None = None

    def remove_links(self) -> None:
        """Remove the links of this start. The original programs stay."""
        if self.linked is not None:
            shutil.rmtree(self.linked, ignore_errors=True)


def usable_install(bin_dir: Path, account: Account | None, data_dir: Path) -> Install:
    """The programs of `bin_dir`, linked elsewhere if `account` cannot run them in their place.

    Args:
        bin_dir: the folder that holds initdb and postgres.
        account: the account that will run them.
        data_dir: the server's data folder, which names the links.

    Raises:
        EmbeddedError: the programs cannot be run.
    """
    version, complaint = version_of(bin_dir, account)
    if version is not None:
        return Install(bin_dir, version)
    if account is not None:
        for place in (*_PLACES, tempfile.gettempdir()):
            linked = Path(place) / f"mall-postgres-{short_key(data_dir)}"
            try:
                moved = _link_install(bin_dir, linked)
            except OSError as error:
                complaint += f"\n{linked}: {error}"
                continue
            version, said = version_of(moved, account)
            if version is not None:
                return Install(moved, version, linked)
            shutil.rmtree(linked, ignore_errors=True)
            complaint += f"\n{linked}: {said}"
    who = "us"
    if account is not None:
        who = f"user id {account.uid}, and Postgres refuses to run as root. Try as an ordinary user"
    raise EmbeddedError(f"The Postgres programs in {bin_dir} cannot be run by {who}.\n{complaint}")


def version_of(bin_dir: Path, account: Account | None) -> tuple[int | None, str]:
    """The major version, or None and the reason why it is unknown."""
    try:
        # initdb and not postgres, because it loads libpq too, which may be unreachable by itself.
        status, said = run_to_end([str(bin_dir / "initdb"), "--version"], account=account)
    except OSError as error:
        return None, str(error)
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    if status != 0 or found is None:
        return None, said.strip() or f"exit status {status}"
    return int(found.group(1)), ""


def _link_install(bin_dir: Path, target: Path) -> Path:
    """Link the tree around `bin_dir` into `target`. Returns the new bin folder.

    Two levels of folder names are kept, because repaired wheels search their libraries in ../../../<package>.libs.
    """
    tree = bin_dir.resolve().parent
    libraries = tree.parent.with_name(f"{tree.parent.name}.libs")
    _fresh(target)
    moved = target / tree.parent.name / tree.name
    _link_tree(tree, moved)
    if libraries.is_dir():
        _link_tree(libraries, target / libraries.name)
    # mkdir and copytree apply the umask, or copy a mode that excludes other users.
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)
    return moved / bin_dir.name


def _fresh(target: Path) -> None:
    """Create an empty folder, in place of one of an earlier run."""
    if os.path.lexists(target):
        found = target.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise FileExistsError(f"{target} exists and is not ours")
        shutil.rmtree(target)
    target.mkdir(mode=0o755)


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, ignore=_NOT_NEEDED, copy_function=_link)


def _link(source: str, target: str) -> None:
    """Link a file, or copy it if a link is impossible or others may not read it."""
    mode = os.stat(source).st_mode
    program = bool(mode & stat.S_IXUSR)
    open_to_all = mode & stat.S_IROTH and (mode & stat.S_IXOTH or not program)
    if open_to_all:
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if program else 0o644)
