"""Errors of the stores.

StorageError
  Unreachable       Postgres or Redis cannot be reached, or did not answer in time
    NotDone         certainly nothing was done: no connection, or rolled back
      Locked        another session holds a lock on a row that is needed
  Duplicate         a unique value exists already; `constraint` says which
  WriteRefused      a constraint of the database refuses the write; `constraint` says which
  MissingReference  a referenced row does not exist; `constraint` says which
"""

from __future__ import annotations


class StorageError(Exception):
    """A call of a store failed."""


class Unreachable(StorageError):
    """The store cannot be reached, or did not answer in time."""


class NotDone(Unreachable):
    """Nothing was done: there was no connection, or the server has rolled back."""


class Locked(NotDone):
    """Nothing was done: another session holds a lock on a row that is needed."""


class Duplicate(StorageError):
    """A unique value exists already."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class WriteRefused(StorageError):
    """A constraint of the database refuses the write."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class MissingReference(StorageError):
    """A referenced row does not exist."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint
