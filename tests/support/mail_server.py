"""A real SMTP server (aiosmtpd) on a port of this machine, which a test may stop and start again."""

from __future__ import annotations

import asyncio
import email
import email.policy
import warnings
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from loadtests.kit.server import free_port
from tests.support.waiting import Arrivals

Reply = Callable[[Envelope], Awaitable[str]]


class MailServer:
    """Receives mails.

    Attributes:
        mails: what was received, in order; `answers` were given to the first attempts instead of "250 OK".
        logins: user and password of each login.
        arrivals: told of each mail before it is answered.
    """

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self.answers: list[str] = []
        self.recipient_answers: list[str] = []
        self.hangs = False
        self.arrivals = Arrivals()
        self._options = options
        self._server: asyncio.Server | None = None
        self._handlers: list[SMTP] = []

    @property
    def url(self) -> str:
        """Its address as MALL_SMTP_URL has it."""
        return f"smtp://127.0.0.1:{self.port}?tls=none"

    async def start(self) -> None:
        """Listen on the port."""
        loop = asyncio.get_running_loop()

        def make() -> SMTP:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a login without TLS is unwise, and here on purpose
                made = SMTP(
                    self, loop=loop, enable_SMTPUTF8=True, hostname="mx.test", authenticator=self._log_in,
                    auth_require_tls=False, **self._options,
                )  # fmt: skip
            self._handlers.append(made)
            return made

        self._server = await loop.create_server(make, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Be away: connections are ended, and new ones refused."""
        if self._server is None:
            return
        self._server.close()
        for handler in self._handlers:
            if handler.transport is not None:
                handler.transport.close()
        self._handlers.clear()
        await self._server.wait_closed()
        self._server = None

    def _log_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        del server, session, envelope, mechanism
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"right", handled=False)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if self.recipient_answers:
            return self.recipient_answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del server, session
        if self.hangs:
            await asyncio.Event().wait()
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        self.arrivals.tell()
        return "250 OK"

    def ids(self) -> list[str]:
        """Message-IDs of what was received."""
        return [str(mail["Message-ID"]) for mail in self.mails]
