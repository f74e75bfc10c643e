"""Which failures of a writing call mean "not written", and which mean that nobody knows."""

from __future__ import annotations

import asyncpg

from actors.errors import JournalError, NotWritten, Unanswered

# The server said that the transaction was rolled back; the same call may succeed a moment later.
_TRANSIENT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
)
# The server went away or is going: whether the commit was before or after is not told.
_SILENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    EOFError,
)


def journal_error(error: BaseException) -> JournalError:
    """The runtime's word for a driver error.

    QueryCanceled is an operator intervention by its SQLSTATE class, but a definite answer all the same:
    the statement timeout rolled the call back. So the transient ones are looked at first.
    """
    if isinstance(error, asyncpg.DiskFullError | asyncpg.InsufficientResourcesError):
        return NotWritten(type(error).__name__, transient=True)
    if isinstance(error, asyncpg.LockNotAvailableError):
        return NotWritten(type(error).__name__, locked=True)
    if isinstance(error, _TRANSIENT):
        return NotWritten(type(error).__name__, transient=True)
    if isinstance(error, _SILENT):
        return Unanswered(type(error).__name__)
    if isinstance(error, asyncpg.PostgresError):
        return NotWritten(f"{type(error).__name__} {error.sqlstate}")
    return Unanswered(type(error).__name__)
