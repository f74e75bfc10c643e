"""Every error that the driver knows, and what a caller hears of it."""

from __future__ import annotations

import inspect

import asyncpg
import pytest
from asyncpg import exceptions

from actors.errors import NotWritten, Unanswered
from api.contract.problems import CODES, KINDS
from storage.errors import Locked, NotDone, StorageError, Unreachable
from storage.postgres.errors import Meaning, journal_error, meaning_of, storage_error

# All that can be raised: warnings come as log messages.
RAISED = sorted(
    (
        kind
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, exceptions.PostgresLogMessage | Warning)
    ),
    key=lambda kind: kind.__name__,
)
# What a repetition on a healthy server with our schema would not mend, by class of SQLSTATE: a fault of ours.
OURS = {
    "02", "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23", "24", "25", "27", "2B", "2D",
    "2F", "34", "38", "39", "3B", "42", "44", "54", "55", "F0", "HV", "P0", "XX",
}  # fmt: skip
# Those of these classes that people and other programs bring about, or that end by themselves.
THEIRS = {
    "ReadOnlySQLTransactionError", "IdleInTransactionSessionTimeoutError", "TransactionTimeoutError",
    "InvalidCachedStatementError", "InsufficientPrivilegeError", "UndefinedColumnError", "UndefinedObjectError",
    "DatatypeMismatchError", "UndefinedFunctionError", "UndefinedTableError", "DuplicatePreparedStatementError",
    "ObjectInUseError", "LockNotAvailableError", "InternalServerError", "DataCorruptedError", "IndexCorruptedError",
}  # fmt: skip
CORRUPTED = {"DataCorruptedError", "IndexCorruptedError"}


def _status(error: StorageError) -> int:
    code = next((code for kind, code in CODES if isinstance(error, kind)), "internal")
    return KINDS[code].status


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_every_error_of_the_driver_has_a_meaning_and_only_faults_of_ours_are_a_500(
    kind: type[Exception],
) -> None:
    error = kind("a text with a secret")
    said = storage_error(error)
    assert said is not None
    assert "secret" not in str(said)
    state = getattr(error, "sqlstate", None)
    if isinstance(error, asyncpg.PostgresError) and state:
        ours = state[:2] in OURS and (kind.__name__ not in THEIRS or kind.__name__ in CORRUPTED)
    else:
        ours = kind.__name__ in {
            "PostgresError", "UnsupportedClientFeatureError", "UnsupportedServerFeatureError",
            "ClientConfigurationError",
        }  # fmt: skip
    assert _status(said) == (500 if ours else _status(said) if _status(said) in (503, 504) else 0)


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_journal_and_catalogue_say_the_same_of_an_error(kind: type[Exception]) -> None:
    said, written = storage_error(kind("x")), journal_error(kind("x"))
    unknown = isinstance(said, Unreachable) and not isinstance(said, NotDone)
    assert isinstance(written, Unanswered) == unknown
    if isinstance(written, NotWritten):
        assert written.locked == isinstance(said, Locked)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (asyncpg.DiskFullError("x"), Meaning.NOT_DONE),
        (asyncpg.OutOfMemoryError("x"), Meaning.NOT_DONE),
        (asyncpg.InvalidPasswordError("x"), Meaning.NOT_DONE),
        (asyncpg.InvalidCachedStatementError("x"), Meaning.NOT_DONE),
        (asyncpg.ReadOnlySQLTransactionError("x"), Meaning.NOT_DONE),
        (asyncpg.QueryCanceledError("x"), Meaning.NOT_DONE),
        (asyncpg.LockNotAvailableError("x"), Meaning.LOCKED),
        (asyncpg.AdminShutdownError("x"), Meaning.UNKNOWN),
        (asyncpg.StatementCompletionUnknownError("x"), Meaning.UNKNOWN),
        (asyncpg.ConnectionDoesNotExistError("x"), Meaning.UNKNOWN),
        (asyncpg.NotNullViolationError("x"), Meaning.FAULT),
        (asyncpg.PostgresSyntaxError("x"), Meaning.FAULT),
        (OSError("x"), Meaning.UNKNOWN),
        (EOFError("x"), Meaning.UNKNOWN),
        (
            RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed"),
            Meaning.UNKNOWN,
        ),
        (RuntimeError("a bug"), None),
        (KeyError("a bug"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_error_means(error: Exception, meaning: Meaning | None) -> None:
    assert meaning_of(error) is meaning
