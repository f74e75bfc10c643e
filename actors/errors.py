"""What the runtime answers when it cannot answer with a reply.

ActorError
  NotProcessed          certainly no effect; may be repeated at once or later
    Overloaded          a bound was reached
    DeadlinePassed      the budget ran out before the turn began
    Unavailable         the owner or the journal cannot be reached
    Moved               somebody else decides it by now (said by one instance to another, never to a client)
  NoSuchActor           there is no row behind this id
  CommandReused         the command id was used before with another body
  OutcomeUnknown        it may or may not have happened: repeat it with the same command id
  ActorCrashed          the actor failed in its turn; nothing was changed
JournalError            what a journal raises (never leaves the runtime)
  NotWritten            the call was refused whole; nothing was written
  Unanswered            the connection died before the answer
"""

from __future__ import annotations


class ActorError(Exception):
    """The runtime could not give a reply."""


class NotProcessed(ActorError):
    """The command certainly had no effect."""


class Overloaded(NotProcessed):
    """Too much is waiting already."""


class DeadlinePassed(NotProcessed):
    """The budget of the command ran out before it was begun."""


class Unavailable(NotProcessed):
    """Nobody can decide this at the moment."""


class WrongOwner(NotProcessed):
    """The actor lives elsewhere by now, or here again after it was elsewhere: the edge asks once more."""


class NoSuchActor(ActorError):
    """There is nothing behind this id."""


class CommandReused(ActorError):
    """This key was used before for something else."""


class OutcomeUnknown(ActorError):
    """Whether it happened is not known yet; repeat it with the same key."""


class ActorCrashed(ActorError):
    """The actor failed; nothing was changed."""


class JournalError(Exception):
    """The journal did not do what was asked."""


class NotWritten(JournalError):
    """Refused as a whole; nothing was written. `transient` says that a repetition may succeed, `locked` that somebody
    else holds a row that it needs.
    """

    def __init__(self, reason: str, *, transient: bool = False, locked: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient or locked
        self.locked = locked


class Unanswered(JournalError):
    """The connection ended before the answer: written or not, nobody knows yet.

    `sent=False` says that there was no connection to begin with: certainly not written.
    """

    def __init__(self, reason: str = "", *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent
