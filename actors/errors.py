"""Errors of the runtime, and of the journal below it.

ActorError
  NotProcessed          certainly no effect; may be repeated at once or later
    Overloaded          a limit was reached
    DeadlinePassed      the deadline passed before the turn began
    Unavailable         the owner or the journal cannot be reached
    WrongOwner          another instance owns the actor (between instances only, never to a client)
  NoSuchActor           there is no row with this id
  CommandReused         the command id was used before with another body
  OutcomeUnknown        the effect may or may not have happened: repeat with the same command id
  ActorCrashed          the actor failed in its turn; nothing was changed
JournalError            what a journal raises (never leaves the runtime)
  NotWritten            the call was refused as a whole; nothing was written
  Unanswered            the connection ended before the answer
"""

from __future__ import annotations


class ActorError(Exception):
    """There is no reply."""


class NotProcessed(ActorError):
    """The command certainly had no effect."""


class Overloaded(NotProcessed):
    """A limit of waiting messages was reached."""


class DeadlinePassed(NotProcessed):
    """The deadline passed before the turn began."""


class Unavailable(NotProcessed):
    """The actor's owner, or the journal, cannot be reached."""


class WrongOwner(NotProcessed):
    """Another instance owns the actor, or owned it in between. The edge repeats the ask."""


class NoSuchActor(ActorError):
    """There is no row with this id."""


class CommandReused(ActorError):
    """The key was used before with another body."""


class OutcomeUnknown(ActorError):
    """The outcome is not known. Repeat with the same key."""


class ActorCrashed(ActorError):
    """The actor failed in its turn. Nothing was changed."""


class JournalError(Exception):
    """A call of the journal failed."""


class NotWritten(JournalError):
    """The call was refused as a whole. Nothing was written.

    `transient`: a repetition may succeed. `locked`: another program holds a lock on a row of the batch.
    """

    def __init__(self, reason: str, *, transient: bool = False, locked: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient or locked
        self.locked = locked


class Unanswered(JournalError):
    """The connection ended before the answer. The outcome is not known.

    `sent=False`: there was no connection, so nothing was written.
    """

    def __init__(self, reason: str = "", *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent
