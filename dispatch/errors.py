"""Errors of the services for accounts and the catalogue. Nothing was changed.

ServiceError
  NoSuchUser          there is no such user, or it was deleted
  EmailTaken          another account has this address
  AccountClosed       the account is banned or deleted
  LastAdmin           the last administrator cannot be banned, demoted or deleted
  UserBusy            orders of the user are under way
    StillCarrying     the driver carries orders
  PasswordReplaced    the account's password is not the one that was verified any more
  SessionOver         the session has ended since the request was admitted
  ResetTokenInvalid   the reset token was never issued, was used, or has expired
  UnknownZone         the zone that was named does not exist
  UnknownStore        the store that was named does not exist
  NoSecretsKey        no key is configured that seals the secrets of webhooks
  TooManyWebhooks     there are as many endpoints, or waiting replays of one, as there may be
  NothingToReplay     the log has no event of the range that the endpoint has passed
  UnknownFilter       a zone or store of a filter does not exist
  NoSuchJob           there is no such job, or its runs are not kept any more
  JobEnded            the job is done or was discarded
  NoSuchTask          no worker knows the task, and nothing is left of it
  NoSuchSchedule      there is no schedule of this name
  JobRunning          a worker is at the job
  JobNotFailed        the job waits for its time, and has not failed
"""

from __future__ import annotations


class ServiceError(Exception):
    """The request was refused as a whole."""


class NoSuchUser(ServiceError):
    """There is no such user."""


class EmailTaken(ServiceError):
    """Another account has this address."""


class AccountClosed(ServiceError):
    """The account is banned or deleted."""


class LastAdmin(ServiceError):
    """The last administrator cannot be banned, demoted or deleted."""


class UserBusy(ServiceError):
    """Orders of the user are under way."""


class StillCarrying(UserBusy):
    """The driver carries orders."""


class PasswordReplaced(ServiceError):
    """The password has changed since it was verified."""


class SessionOver(ServiceError):
    """The session has ended since the request was admitted."""


class ResetTokenInvalid(ServiceError):
    """The reset token was never issued, was used, or has expired."""


class UnknownZone(ServiceError):
    """The zone that was named does not exist."""


class UnknownStore(ServiceError):
    """The store that was named does not exist."""


class NoSecretsKey(ServiceError):
    """No key is configured that seals the secrets of webhooks."""


class TooManyWebhooks(ServiceError):
    """There are as many endpoints, or waiting replays of one, as there may be."""


class NothingToReplay(ServiceError):
    """The log has no event of the range that the endpoint has passed."""


class UnknownFilter(ServiceError):
    """A zone or store of a filter does not exist; `field` says which filter it is."""

    def __init__(self, field: str, number: int) -> None:
        super().__init__(field)
        self.field = field
        self.number = number


class NoSuchJob(ServiceError):
    """There is no such job, or its runs are not kept any more."""


class JobEnded(ServiceError):
    """The job is done or was discarded."""


class NoSuchTask(ServiceError):
    """No worker knows the task, and nothing is left of it."""


class NoSuchSchedule(ServiceError):
    """There is no schedule of this name."""


class JobRunning(ServiceError):
    """A worker is at the job."""


class JobNotFailed(ServiceError):
    """The job waits for its time, and has not failed."""
