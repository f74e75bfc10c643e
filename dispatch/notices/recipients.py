"""Recipients of notices: users and stores, as their rows are when a notice is decided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any

from actors.values import frozen
from dispatch.notices.kinds import MAIL, Channel


@frozen
class Recipient:
    """A user or a store.

    Attributes:
        user_id, store_id: one of them; the other one is 0.
        email, phone: addresses, None where there is none.
        quiet: local times from which and until which notices that can wait do so.
        preferences: what the user has chosen, by type and channel.
        open: the account is active; a store always is.
    """

    user_id: int
    store_id: int
    name: str
    email: str | None
    phone: str | None
    locale: str
    time_zone: str
    quiet: tuple[time, time] | None = None
    preferences: Mapping[tuple[str, str], bool] | None = None
    open: bool = True

    def address(self, channel: Channel) -> str | None:
        """The address for a channel."""
        return self.email if channel == MAIL else self.phone


def user_from(row: Mapping[str, Any]) -> Recipient:
    """Make a recipient from a row of `notice_users`."""
    quiet = None if row["quiet_from"] is None else (row["quiet_from"], row["quiet_to"])
    return Recipient(
        user_id=row["id"],
        store_id=0,
        name=row["name"],
        email=row["email"],
        phone=row["phone"],
        locale=row["locale"],
        time_zone=row["time_zone"],
        quiet=quiet,
        preferences={(type_, channel): wanted for type_, channel, wanted in row["preferences"]},
        open=row["status"] == "active",
    )


def store_from(row: Mapping[str, Any]) -> Recipient:
    """Make a recipient from a row of `notice_stores`."""
    return Recipient(
        user_id=0,
        store_id=row["id"],
        name=row["name"],
        email=row["contact_email"],
        phone=row["contact_phone"],
        locale=row["locale"],
        time_zone=row["time_zone"],
    )
