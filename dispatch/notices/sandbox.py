"""Sandbox of mail and SMS: messages are kept in the database instead of being sent, and can be read there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.ports import QueryPool


class SandboxMessages:
    """The newest messages of the sandbox, of all processes of a database."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def keep(
        self,
        channel: str,
        key: str,
        to: str,
        text: str,
        *,
        subject: str = "",
        html: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep a message, once for its key, and forget the oldest ones."""
        message = {"channel": channel, "key": key, "recipient": to, "body": text}
        said = {"subject": subject, "html": html, "headers": dict(headers or {})}
        await self._database.rows("sandbox_add", message | said)

    async def newest(self) -> list[Any]:
        """The messages that are kept, newest first."""
        return await self._database.rows("sandbox_messages")

    async def message(self, number: int) -> Any:
        """One message, or None."""
        return await self._database.row("sandbox_message", number)


class SandboxMail:
    """Implements Mail: nothing is sent."""

    def __init__(self, messages: SandboxMessages) -> None:
        self._messages = messages

    async def send(
        self, key: str, to: str, subject: str, text: str, html: str, headers: Mapping[str, str]
    ) -> None:
        """Keep the mail."""
        await self._messages.keep("mail", key, to, text, subject=subject, html=html, headers=headers)


class SandboxSms:
    """Implements Sms: nothing is sent."""

    def __init__(self, messages: SandboxMessages) -> None:
        self._messages = messages

    async def send(self, key: str, to: str, text: str) -> None:
        """Keep the SMS."""
        await self._messages.keep("sms", f"{key}-sms", to, text)
