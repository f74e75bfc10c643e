"""Preflight checks of the embedded servers, by their files only; nothing is started or created."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from config.findings import Finding, fault, ok
from storage.embedded.binaries import find_postgres, find_valkey
from storage.embedded.data_directory import SOCKET_NAME, cluster_exists
from storage.embedded.errors import EmbeddedError, disk_full, disk_is_full
from storage.embedded.install import Install, version_of
from storage.embedded.unix_sockets import somebody_answers


def embedded_answers(database_url: str) -> bool:
    """True if a process listens at the socket of this embedded Postgres."""
    [folder] = parse_qs(urlsplit(database_url).query).get("host", [""])
    return somebody_answers(Path(folder) / SOCKET_NAME)


def look_at_embedded(data_dir: Path, *, postgres: bool, valkey: bool) -> list[Finding]:
    """Check that the programs exist, and the contents of the data folder.

    Args:
        data_dir: where the data is or will be.
        postgres: an embedded Postgres is wanted.
        valkey: an embedded Valkey is wanted.
    """
    data_dir = data_dir.resolve()
    findings = [_look_at_folder(data_dir)]
    if postgres:
        findings.append(_explained(lambda: _look_at_cluster(data_dir / "postgres")))
    if valkey:
        findings.append(_explained(lambda: ok(f"the embedded Valkey is {find_valkey()}")))
    return findings


def _explained(look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except EmbeddedError as error:
        return fault(str(error))
    except OSError as error:
        return fault(f"cannot look: {error}", "run as the user who owns the data folder")


def _look_at_folder(data_dir: Path) -> Finding:
    if data_dir.exists() and not data_dir.is_dir():
        return fault(f"{data_dir} is not a folder", "set MALL_DATA_DIR to another one")
    if (data_dir / "PG_VERSION").exists():
        return fault(f"{data_dir} is itself the data of a Postgres", "set MALL_DATA_DIR to another folder")
    place = data_dir
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return fault(
            f"{place} cannot be written by user id {os.geteuid()}",
            "set MALL_DATA_DIR to a folder of your own, or run as the user who owns this one",
        )
    if disk_is_full(place, ""):
        return fault(str(disk_full(data_dir, "write")))
    return ok(f"the data folder is {data_dir}" + ("" if place == data_dir else ", which a start makes"))


def _look_at_cluster(cluster: Path) -> Finding:
    programs = find_postgres()
    major, complaint = version_of(programs, None)
    if major is None:
        raise EmbeddedError(f"The Postgres programs in {programs} cannot be run.\n{complaint}")
    if cluster_exists(cluster, Install(programs, major)):
        return ok(f"data of Postgres {major}, not running; the programs are {programs}")
    return ok(f"no data yet; a start makes it with Postgres {major} from {programs}")
