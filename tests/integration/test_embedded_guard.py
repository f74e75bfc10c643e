"""The embedded Postgres of a server: nobody but its users reaches it, and the server is no superuser."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from config.settings import Settings
from loadtests.kit.server import ROOT
from storage.embedded import EmbeddedError, EmbeddedPostgres, os_account
from storage.postgres.migrate import migrate
from storage.servers import open_servers, running_servers

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
NOBODY = 65534
T = TypeVar("T")

# What a program of another user tries: every way into the folder that /proc shows, and the socket itself.
STRANGER = """
import os, socket, struct, sys
uid, folder = int(sys.argv[1]), sys.argv[2]
os.setgroups([]); os.setgid(uid); os.setuid(uid)
ways = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if open(f"/proc/{pid}/comm").read().strip() != "postgres":
            continue
    except OSError:
        continue
    for way in (f"/proc/{pid}/cwd", f"/proc/{pid}/root/{folder}"):
        try:
            # Its path is closed to us; which folder it is shows all the same.
            if "PG_VERSION" in os.listdir(way) and os.stat(way).st_ino == int(sys.argv[3]):
                ways.append(way)
        except OSError:
            pass
print("ways", len(ways))
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(folder + "/.s.PGSQL.5432")
    wanted = b"user\\0mall\\0database\\0mall\\0\\0"
    connection.sendall(struct.pack("!II", len(wanted) + 8, 3 << 16) + wanted)
    print("answer", connection.recv(200)[:1].decode())
except OSError as error:
    print("socket", error.strerror)
"""


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


def ask(url: str, statement: str) -> Any:
    async def work() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return run(work)


def stranger(cluster: Path, uid: int = NOBODY) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(uid), str(cluster), str(cluster.stat().st_ino)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def settings_of(folder: Path) -> Settings:
    return Settings(data_dir=folder)


@needs_root
@linux_only
def test_process_of_another_user_finds_no_way_in(short_tmp_path: Path) -> None:
    data = short_tmp_path / "guard-ways"
    with open_servers(settings_of(data)):
        cluster = data / "postgres"
        assert cluster.stat().st_uid not in (0, NOBODY)
        assert stranger(cluster) == ["ways 0", "socket Permission denied"]
        # Were every folder open, the kernel would still say who asks.
        data.chmod(0o755)
        cluster.chmod(0o755)
        try:
            assert stranger(cluster)[-1] == "answer E"
        finally:
            cluster.chmod(0o700)


def test_session_of_the_server_is_no_superuser(short_tmp_path: Path) -> None:
    with open_servers(settings_of(short_tmp_path / "guard-role")) as at:
        run(lambda: migrate(at.database_url))
        assert ask(at.database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = session_user") is False
        for statement in (
            "COPY cluster_meta TO PROGRAM 'cat'",
            "SELECT pg_read_file('PG_VERSION')",
            "CREATE ROLE more SUPERUSER",
            "SET ROLE mall",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                ask(at.database_url, statement)


def test_data_of_an_earlier_version_are_handed_over_whole(short_tmp_path: Path) -> None:
    data = short_tmp_path / "guard-old"
    with EmbeddedPostgres(data, durable=False) as old:
        run(lambda: migrate(old.database_url))
        before = ask(old.database_url, "SELECT feed_epoch FROM cluster_meta")
    if os.geteuid() == 0:
        for path in (data / "postgres", *(data / "postgres").rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    with open_servers(settings_of(data)) as at:
        owners = {path.stat().st_uid for path in (data / "postgres").rglob("*")}
        assert NOBODY not in owners
        assert ask(at.database_url, "SELECT feed_epoch FROM cluster_meta") == before
        left = """SELECT count(*) FROM (
            SELECT relowner AS o FROM pg_class WHERE relnamespace = 'public'::regnamespace
            UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL SELECT typowner FROM pg_type WHERE typnamespace = 'public'::regnamespace) x
            WHERE o <> 'mall_server'::regrole"""
        assert ask(at.database_url, left) == 0
        run(lambda: migrate(at.database_url))
    with open_servers(settings_of(data)) as at:
        assert ask(at.database_url, "SELECT feed_epoch FROM cluster_meta") == before


@needs_root
def test_root_without_an_account_to_drop_to_is_refused_and_told_what_to_do(
    short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(EmbeddedError, match="make a system user mall-postgres"):
        os_account.postgres_account(short_tmp_path / "guard-none" / "postgres")


@needs_root
def test_data_of_an_ordinary_user_stay_his_when_root_starts_on_them(short_tmp_path: Path) -> None:
    data = short_tmp_path / "guard-his"
    (data / "postgres").mkdir(parents=True)
    for path in (data, data / "postgres"):
        os.chown(path, NOBODY, NOBODY)
    found = os_account.postgres_account(data / "postgres")
    assert found is not None
    assert found.uid == NOBODY


# Opens the servers of a data folder, says so, and stays.
OPENS = """
import sys
from config.settings import Settings
from loadtests.kit.server import ROOT
from storage.servers import open_servers
with open_servers(Settings(data_dir=sys.argv[1]), redis=False):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_postgres_of_a_killed_server_is_no_running_one(short_tmp_path: Path) -> None:
    data = short_tmp_path / "guard-killed"
    server = subprocess.Popen(
        [sys.executable, "-c", OPENS, str(data)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"open\n"
    found = running_servers(settings_of(data))
    assert found is not None
    assert found.database_url
    server.kill()
    server.communicate()
    # Its Postgres may still accept connections for a moment.
    assert running_servers(settings_of(data)) is None
    with open_servers(settings_of(data), redis=False):
        assert running_servers(settings_of(data)) is not None
