"""Meaning of the driver's errors: one table for reads, the catalogue and the journal.

A caller must get the right outcome: certainly not done, not known, or a bug. The server's SQLSTATE decides: an error of
a statement means that its transaction is rolled back, whatever the reason. It is a bug only if a repetition would fail
in the same way on a healthy server with this schema.
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
    """Outcome of a failed call."""

    LOCKED = auto()  # rolled back: another session holds a row that it needs
    NOT_DONE = auto()  # rolled back, or never begun; a repetition may succeed
    UNKNOWN = auto()  # the connection is lost, or in an unexpected state
    DUPLICATE = auto()  # rolled back: a unique value exists already
    MISSING = auto()  # rolled back: a row that was referred to does not exist
    REFUSED = auto()  # rolled back: a constraint refuses it
    FAULT = auto()  # rolled back, as every repetition would be


_STATES = {
    "55P03": Meaning.LOCKED,
    "23505": Meaning.DUPLICATE,
    "23503": Meaning.MISSING,
    "23514": Meaning.REFUSED,
    # It is not known whether the commit came before.
    "40003": Meaning.UNKNOWN,
    # A definite answer in spite of its class: the statement timeout, or a cancel by a person.
    "57014": Meaning.NOT_DONE,
    "57P03": Meaning.NOT_DONE,
    # A read-only server: another one is the primary now.
    "25006": Meaning.NOT_DONE,
    "25P03": Meaning.NOT_DONE,
    "25P04": Meaning.NOT_DONE,
    # A lost prepared statement (DISCARD ALL, or a connection pooler).
    "26000": Meaning.NOT_DONE,
    "42P05": Meaning.NOT_DONE,
    # The schema is being changed, or a right was revoked: the statement was refused, and an operator must act.
    "3D000": Meaning.NOT_DONE,
    "3F000": Meaning.NOT_DONE,
    "42501": Meaning.NOT_DONE,
    "42703": Meaning.NOT_DONE,
    "42704": Meaning.NOT_DONE,
    "42804": Meaning.NOT_DONE,
    "42883": Meaning.NOT_DONE,
    "42P01": Meaning.NOT_DONE,
    "55006": Meaning.NOT_DONE,
    # An object of the plan was dropped or changed.
    "XX000": Meaning.NOT_DONE,
}
_CLASSES = {
    "08": Meaning.UNKNOWN,
    "28": Meaning.NOT_DONE,  # of a new connection: the password was changed
    "40": Meaning.NOT_DONE,
    "53": Meaning.NOT_DONE,  # disk, memory or connections are exhausted
    "57": Meaning.UNKNOWN,
    "58": Meaning.NOT_DONE,  # the server's disk
    "72": Meaning.NOT_DONE,
}
# Errors of the driver itself: a value that it could not encode was not sent.
_NEVER_SENT = (
    asyncpg.exceptions._base.DataError,
    asyncpg.UnsupportedClientFeatureError,
    asyncpg.UnsupportedServerFeatureError,
    asyncpg.ClientConfigurationError,
)
_LOST = (OSError, TimeoutError, EOFError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def meaning_of(error: BaseException) -> Meaning | None:
    """Outcome of a failure; None for an error that is not of the driver or the connection."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Meaning.NOT_DONE  # inside a transaction; outside of one the driver has repeated it
    if isinstance(error, asyncpg.FatalPostgresError):
        return Meaning.UNKNOWN
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return _STATES.get(state) or _CLASSES.get(state[:2], Meaning.FAULT)
    if isinstance(error, _NEVER_SENT):
        return Meaning.FAULT
    if isinstance(error, _LOST):
        return Meaning.UNKNOWN
    # uvloop raises it for a write to a connection that was just lost.
    if isinstance(error, RuntimeError) and "the handler is closed" in str(error):
        return Meaning.UNKNOWN
    return None


def spoils_connection(error: BaseException) -> bool:
    """True if the connection is unusable: its prepared statements are lost."""
    return isinstance(error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError)


def storage_error(error: BaseException) -> StorageError | None:
    """Make the StorageError for a failure; None for an error that is not the store's.

    The text of a driver's error may quote the row with its password hash, so only the kind of error is kept.
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
    """Make the JournalError for a failure of a write."""
    name = type(error).__name__
    meaning = meaning_of(error)
    if meaning in (None, Meaning.UNKNOWN):
        return Unanswered(name)
    if meaning is Meaning.LOCKED:
        return NotWritten(name, locked=True)
    # One item may cause an internal error of the server: the batch is divided until that item is alone.
    if meaning is Meaning.NOT_DONE and not isinstance(error, asyncpg.InternalServerError):
        return NotWritten(name, transient=True)
    return NotWritten(f"{name} {getattr(error, 'sqlstate', None) or ''}".strip())
