"""Deduplication of commands: command ids, and the ring of remembered replies.

The ring is part of the actor's row and is written in the same commit as the effect. So a retry gets the same reply and
has no second effect, also after a crash and on another instance. 32 entries are more than any order gets in its life,
and more commands than a driver sends within one network timeout.
"""

from __future__ import annotations

from hashlib import blake2b
from sys import intern
from typing import Any

from actors.errors import CommandReused
from actors.messages import Command

RING_SIZE = 32

Ring = tuple[tuple[str, str, Any], ...]


def make_command(principal: str, name: str, target: str, key: str, body: bytes = b"") -> Command:
    """Make a command from a client's key: 96-bit id, 64-bit fingerprint of the body."""
    joined = "\x1f".join((principal, name, target, key)).encode()
    return Command(blake2b(joined, digest_size=12).hexdigest(), blake2b(body, digest_size=8).hexdigest())


def find(ring: Ring, command: Command) -> tuple[str, str, Any] | None:
    """Find the remembered entry of a command, or None.

    Raises:
        CommandReused: the ring has the id with another fingerprint.
    """
    for entry in ring:
        if entry[0] == command.id:
            if entry[1] != command.fingerprint:
                raise CommandReused
            return entry
    return None


def remember(ring: Ring, command: Command | None, reply: Any) -> Ring:
    """Append a reply to the ring; the oldest is dropped beyond RING_SIZE.

    `reply` is JSON: it is stored in the row.
    """
    if command is None:
        return ring
    return (*ring[-(RING_SIZE - 1) :], (command.id, command.fingerprint, reply))


def ring_from(rows: Any) -> Ring:
    """Make the ring from its column, a JSON array of triples.

    Replies are a few words and numbers. All rings share the words.
    """
    return tuple((str(entry[0]), str(entry[1]), _shared(entry[2])) for entry in rows or ())


def _shared(reply: Any) -> Any:
    if isinstance(reply, list):
        return tuple(intern(part) if type(part) is str else part for part in reply)
    return reply
