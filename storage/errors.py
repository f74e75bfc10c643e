"""What goes wrong in the cellar.

StorageError
  Unreachable       Postgres or Redis cannot be reached, or did not answer in time
    NotDone         certainly nothing was done: no connection, or rolled back
      Locked        somebody else holds a row that is needed
  Duplicate         a unique value exists already; `constraint` says which
  Refused           a rule of the database stands in the way; `constraint` says which
  MissingReference  a row that was referred to does not exist; `constraint` says which
"""

from __future__ import annotations


class StorageError(Exception):
    """The store did not do what was asked."""


class Unreachable(StorageError):
    """The store cannot be reached."""


class NotDone(Unreachable):
    """Nothing was done: there was no connection, or the server has rolled it back."""


class Locked(NotDone):
    """Nothing was done: somebody else holds a row that is needed."""


class Duplicate(StorageError):
    """This value exists already."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class WriteRefused(StorageError):
    """The database does not allow what it would lead to."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class MissingReference(StorageError):
    """What is referred to does not exist."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint
