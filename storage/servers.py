"""Postgres and Redis servers: given by address, or embedded in the data folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import sleep
from typing import TextIO

from actors.values import frozen
from config.settings import Settings
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.embedded.data_directory import SERVER
from storage.embedded.preflight import embedded_answers
from storage.postgres.ownership_transfer import hand_over

# A Postgres whose instance was killed is waited for: half a minute. One that stays is used by an instance of an older
# version, which holds no note.
LOOKS, LOOK_S = 600, 0.05


@frozen
class Addresses:
    """Addresses of the servers."""

    database_url: str
    redis_url: str


@contextlib.contextmanager
def open_servers(settings: Settings, *, redis: bool = True) -> Iterator[Addresses]:
    """Use the given addresses, or start embedded servers in the data folder.

    Without `redis` none is started, and its address is empty unless it was given.

    Raises:
        EmbeddedError: an embedded server cannot run.
    """
    with contextlib.ExitStack() as stack:
        postgres = (
            EmbeddedPostgres(settings.data_dir, guarded=True) if settings.database_url is None else None
        )
        valkey = EmbeddedValkey(settings.data_dir) if redis and settings.redis_url is None else None
        started = [server for server in (valkey, postgres) if server is not None]
        for server in started:
            stack.callback(server.stop)
            server.launch()
        for server in started:
            server.wait_ready()
        if postgres is not None:
            hand_over(postgres.database_url, SERVER)
        found = Addresses(
            settings.database_url or (postgres.server_url if postgres else ""),
            settings.redis_url or (valkey.redis_url if valkey else ""),
        )
        note = _note(settings)
        if postgres is not None:
            held = stack.enter_context(note.open("w"))
            # It ends with this process, whatever ends that: what a killed one leaves behind is told apart.
            # Whoever looks holds it for a moment, and is waited for.
            fcntl.flock(held, fcntl.LOCK_EX)
            held.write(json.dumps(asdict(found)))
            held.flush()
            stack.callback(note.unlink, missing_ok=True)
        yield found


def _note(settings: Settings) -> Path:
    """File in which a running server writes its addresses, for `mint` and `check`."""
    return settings.data_dir / "addresses.json"


def running_servers(settings: Settings) -> Addresses | None:
    """Servers of a running instance on this data folder; None if no instance runs.

    The Postgres of an instance that was killed ends a moment later, and is waited for.
    """
    try:
        with _note(settings).open() as note:
            found = Addresses(**json.loads(note.read()))
            alive = _is_held(note)
    except (OSError, ValueError, TypeError):
        return None
    if settings.database_url is not None:
        return None
    for _ in range(LOOKS):
        if not embedded_answers(found.database_url):
            return None
        if alive:
            break
        sleep(LOOK_S)
    return found


def _is_held(note: TextIO) -> bool:
    """True while the process that wrote the note lives."""
    try:
        fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def reach_servers(settings: Settings) -> Iterator[Addresses]:
    """The servers of a running instance, or a Postgres started until the block ends; for what needs no Redis."""
    found = running_servers(settings)
    if found is not None:
        yield found
        return
    with open_servers(settings, redis=False) as found:
        yield found


@contextlib.contextmanager
def reach_database(settings: Settings) -> Iterator[str]:
    """Address of the database, for commands that need nothing else: they start no Redis beside a given one."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with reach_servers(settings) as found:
        yield found.database_url
