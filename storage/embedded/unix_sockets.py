"""Unix sockets of the embedded servers: their folders, and checks for a listening server."""

import os
import re
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from storage.embedded.errors import EmbeddedError
from storage.embedded.folder import private_folder, short_key

# The kernel's limit is 108 bytes on Linux and 104 on macOS, including the final zero byte.
_LONGEST = 100
# A comma separates hosts in a Postgres URL, and a server's command line splits at spaces.
_PLAIN = re.compile(r"[A-Za-z0-9/._+@-]+")
_ANSWER_SECONDS = 2.0
_PROTOCOL_3 = 3 << 16


def socket_folder(home: Path, name: str, owner: int) -> Path:
    """Folder of a socket called `name`: `home`, or a short private folder in its place.

    The short folder's name is derived from `home`, so it is the same at each start.

    Raises:
        EmbeddedError: no place is short enough, or another user occupies it.
        OSError: the short folder cannot be made.
    """
    if _fits(home / name):
        return home
    short = f"mall-{short_key(home)}"
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - private_folder
        if base.is_dir() and _fits(base / short / name):
            private_folder(base / short, owner)
            return base / short
    raise EmbeddedError(
        f"{home} is too long a path for a Unix socket, and so is the folder for temporary files "
        f"({tempfile.gettempdir()}). Choose a shorter data folder, or set TMPDIR to a short path."
    )


def forget_socket_folder(folder: Path, home: Path) -> None:
    """Remove `folder` if it is the short folder of `home` and empty."""
    if folder != home:
        try:
            folder.rmdir()
        except OSError:
            return


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _LONGEST and _PLAIN.fullmatch(str(path)) is not None


def refuse_taken(path: Path) -> None:
    """Check that no server listens on a socket that is about to be used.

    Raises:
        EmbeddedError: a server listens.
    """
    connection = _connect(path)
    if connection is None:
        return
    with connection:
        holder = _peer(connection)
    raise EmbeddedError(
        f"The socket {path} is already served by {holder}. "
        "Stop that process first, or choose another data folder."
    )


def somebody_answers(path: Path) -> bool:
    """True if a process listens at `path`."""
    connection = _connect(path)
    if connection is None:
        return False
    connection.close()
    return True


def valkey_answers(path: Path) -> bool:
    """True if a Valkey at `path` is ready for commands, with its data loaded."""
    connection = _connect(path)
    if connection is None:
        return False
    with connection:
        try:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def postgres_answers(path: Path, user: str, database: str) -> bool:
    """True if a Postgres at `path` accepts `user` in `database`; False while it starts.

    Raises:
        EmbeddedError: it refuses for good, as when there is no such database.
    """
    connection = _connect(path)
    if connection is None:
        return False
    wanted = b"user\0%b\0database\0%b\0\0" % (user.encode(), database.encode())
    with connection, connection.makefile("rb") as replies:
        try:
            connection.sendall(struct.pack("!II", len(wanted) + 8, _PROTOCOL_3) + wanted)
            refusal = _refusal(replies)
        except (OSError, struct.error):
            return False
    if refusal is None:
        return True
    if refusal.get(b"C") == "57P03":  # cannot_connect_now: starting up, or shutting down
        return False
    raise EmbeddedError(f"Postgres at {path} refuses us: {refusal.get(b'M', 'no reason given')}.")


def _refusal(replies: BinaryIO) -> dict[bytes, str] | None:
    """Fields of the error with which Postgres refuses a connection; None if it accepts.

    Only the end of the startup shows it: Postgres looks up the database after the authentication.

    Raises:
        struct.error: it closed the connection, like a server that stops.
    """
    while True:
        kind, length = struct.unpack("!cI", replies.read(5))
        body = replies.read(length - 4)
        if kind == b"Z":  # ready for queries
            return None
        if kind == b"E":
            return {field[:1]: field[1:].decode("utf-8", "replace") for field in body.split(b"\0")}


def _connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER_SECONDS)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _peer(connection: socket.socket) -> str:
    if sys.platform != "linux":
        return "another process"
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return f"process {struct.unpack('iII', credentials)[0]}"
