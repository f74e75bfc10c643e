"""What a failure of the driver means: one table for reads, for the catalogue and for the journal.

Whoever asked must hear the truth: certainly not done, nobody knows, or a fault of ours. What a server says decides, by
its SQLSTATE: an error of a statement means that its transaction is rolled back, whatever the reason. It is a fault of
ours only where a repetition would end the same way on a healthy server with our schema.
"""

from __future__ import annotations

from enum import Enum, auto

import asyncpg

from actors.errors import JournalError, NotWritten, Unanswered
from storage.errors import (
    Duplicate,
    Locked,
    MissingReference,
    NotDone,
    StorageError,
    Unreachable,
    WriteRefused,
)


class Meaning(Enum):
    """What became of the call."""

    LOCKED = auto()  # rolled back: somebody else holds a row that it needs
    NOT_DONE = auto()  # rolled back, or never begun; it may succeed a moment later
    UNKNOWN = auto()  # the connection is lost, or in a state that nobody expected
    DUPLICATE = auto()  # rolled back: a unique value exists already
    MISSING = auto()  # rolled back: a row that was referred to does not exist
    REFUSED = auto()  # rolled back: a rule of ours stands in the way
    FAULT = auto()  # rolled back, and so it would be the next time


_STATES = {
    "55P03": Meaning.LOCKED,
    "23505": Meaning.DUPLICATE,
    "23503": Meaning.MISSING,
    "23514": Meaning.REFUSED,
    # Not told whether the commit was before or after.
    "40003": Meaning.UNKNOWN,
    # A definite answer, although its class is one of intervention: the statement's timeout, or a person.
    "57014": Meaning.NOT_DONE,
    "57P03": Meaning.NOT_DONE,
    # A server that is only read from: somebody else is the primary now.
    "25006": Meaning.NOT_DONE,
    "25P03": Meaning.NOT_DONE,
    "25P04": Meaning.NOT_DONE,
    # A prepared statement that is gone (DISCARD ALL, a pooler between us and the server).
    "26000": Meaning.NOT_DONE,
    "42P05": Meaning.NOT_DONE,
    # The schema is being changed, or a right was taken away: the statement was refused, and people mend it.
    "3D000": Meaning.NOT_DONE,
    "3F000": Meaning.NOT_DONE,
    "42501": Meaning.NOT_DONE,
    "42703": Meaning.NOT_DONE,
    "42704": Meaning.NOT_DONE,
    "42804": Meaning.NOT_DONE,
    "42883": Meaning.NOT_DONE,
    "42P01": Meaning.NOT_DONE,
    "55006": Meaning.NOT_DONE,
    # What a plan was made for was dropped or changed under it.
    "XX000": Meaning.NOT_DONE,
}
_CLASSES = {
    "08": Meaning.UNKNOWN,
    "28": Meaning.NOT_DONE,  # of a new connection: its password was changed
    "40": Meaning.NOT_DONE,
    "53": Meaning.NOT_DONE,  # disk, memory or connections are used up
    "57": Meaning.UNKNOWN,
    "58": Meaning.NOT_DONE,  # the server's disk
    "72": Meaning.NOT_DONE,
}
# Of the driver itself: what it could not encode it has not sent.
_NEVER_SENT = (
    asyncpg.exceptions._base.DataError,
    asyncpg.UnsupportedClientFeatureError,
    asyncpg.UnsupportedServerFeatureError,
    asyncpg.ClientConfigurationError,
)
_LOST = (OSError, TimeoutError, EOFError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def meaning_of(error: BaseException) -> Meaning | None:
    """What a failure means; None for one that is not of the driver or of the way to the server."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Meaning.NOT_DONE  # inside a transaction; elsewhere the driver has repeated it
    if isinstance(error, asyncpg.FatalPostgresError):
        return Meaning.UNKNOWN
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return _STATES.get(state) or _CLASSES.get(state[:2], Meaning.FAULT)
    if isinstance(error, _NEVER_SENT):
        return Meaning.FAULT
    if isinstance(error, _LOST):
        return Meaning.UNKNOWN
    # uvloop, where one writes to a connection that was lost a moment ago.
    if isinstance(error, RuntimeError) and "the handler is closed" in str(error):
        return Meaning.UNKNOWN
    return None


def spoils_connection(error: BaseException) -> bool:
    """True when the connection would fail in this way for ever: what it has prepared is gone."""
    return isinstance(error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError)


def storage_error(error: BaseException) -> StorageError | None:
    """Our word for a failure; None for one that is not the store's.

    The text of a driver's error may quote the row, password hash and all: what leaves is the kind of fault.
    """
    name, constraint = type(error).__name__, getattr(error, "constraint_name", None) or ""
    match meaning_of(error):
        case None:
            return None
        case Meaning.LOCKED:
            return Locked(name)
        case Meaning.NOT_DONE:
            return NotDone(name)
        case Meaning.UNKNOWN:
            return Unreachable(name)
        case Meaning.DUPLICATE:
            return Duplicate(constraint)
        case Meaning.MISSING:
            return MissingReference(constraint)
        case Meaning.REFUSED:
            return WriteRefused(constraint)
        case Meaning.FAULT:
            return StorageError(f"{name} {getattr(error, 'sqlstate', None) or ''}".strip())


def journal_error(error: BaseException) -> JournalError:
    """The runtime's word for a failure of a writing call."""
    name = type(error).__name__
    meaning = meaning_of(error)
    if meaning in (None, Meaning.UNKNOWN):
        return Unanswered(name)
    if meaning is Meaning.LOCKED:
        return NotWritten(name, locked=True)
    # An internal error of the server may be the fault of one item: the batch is divided until that one is alone.
    if meaning is Meaning.NOT_DONE and not isinstance(error, asyncpg.InternalServerError):
        return NotWritten(name, transient=True)
    return NotWritten(f"{name} {getattr(error, 'sqlstate', None) or ''}".strip())
