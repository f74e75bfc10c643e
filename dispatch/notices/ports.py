"""Ports of notices: senders of mail and SMS, and the templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from actors.values import frozen
from dispatch.notices.kinds import Channel
from dispatch.notices.recipients import Recipient


class SendUnavailable(Exception):
    """Certainly not sent: no connection, or the sender is busy or refuses us. Try again later."""


class SendUnsure(Exception):
    """No answer in time: it may have been sent. Try again with the same key."""


class SendRefused(Exception):
    """Refused for good, for example an address that does not exist. The text says why."""


class Mail(Protocol):
    """Sender of mail."""

    async def send(
        self, key: str, to: str, subject: str, text: str, html: str, headers: Mapping[str, str]
    ) -> None:
        """Send a mail. `key` is its identity, the same at each try: it becomes the Message-ID.

        Raises:
            SendUnavailable, SendUnsure: try again.
            SendRefused: never.
        """


class Sms(Protocol):
    """Sender of SMS."""

    async def send(self, key: str, to: str, text: str) -> None:
        """Send an SMS. It raises as `Mail.send` does."""


@frozen
class Letter:
    """A rendered notice. An SMS has neither subject nor HTML."""

    text: str
    subject: str = ""
    html: str = ""


class Letters(Protocol):
    """The templates of notices."""

    def render(self, type_: str, channel: Channel, recipient: Recipient, values: Mapping[str, Any]) -> Letter:
        """Render a notice in the recipient's language, with money and times as written there."""
