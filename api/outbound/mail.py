"""Sender of mail by SMTP. Each mail has a connection of its own, because kept ones end unseen."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, parseaddr

import aiosmtplib
import structlog
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)

from config.smtp_address import SmtpAddress
from dispatch.notices.ports import SendRefused, SendUnavailable, SendUnsure

log = structlog.get_logger()

# Of one command of the protocol, and of all of a mail: below the deadline of a job.
COMMAND_S = 5.0
DEADLINE_S = 8.0
QUIT_S = 1.0
_ADDRESS = re.compile(r'([^@\s<>()\[\],;:"\\]{1,64})@([^@\s<>()\[\],;:"\\]{1,189})')
_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")


class SmtpMail:
    """Implements dispatch.notices.ports.Mail with an SMTP server. `trust`: certificates that count; None: the usual."""

    def __init__(
        self,
        address: SmtpAddress,
        sender: str,
        wall: Callable[[], float],
        deadline_s: float = DEADLINE_S,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._sender = sender
        self._wall = wall
        self._deadline_s = deadline_s
        self._trust = trust

    async def send(
        self, key: str, to: str, subject: str, text: str, html: str, headers: Mapping[str, str]
    ) -> None:
        """Send a mail; see dispatch.notices.ports.Mail."""
        message = make_message(self._sender, key, to, subject, text, html, headers)
        message["Date"] = formatdate(self._wall())
        client = self._client()
        try:
            try:
                async with asyncio.timeout(self._deadline_s):
                    await _enter(client)
                    await _hand_over(client, message)
            except TimeoutError as error:
                raise SendUnsure("deadline") from error
            await _leave(client)
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        at = self._address
        return aiosmtplib.SMTP(
            hostname=at.host,
            port=at.port,
            use_tls=at.tls == "implicit",
            start_tls=at.tls == "start",
            username=at.user,
            password=at.password,
            tls_context=self._trust,
            timeout=min(COMMAND_S, self._deadline_s),
        )


async def _enter(client: aiosmtplib.SMTP) -> None:
    """Connect, encrypt and log in.

    Raises:
        SendUnavailable: the server is away, or does not let us in.
    """
    try:
        await client.connect()
    except (OSError, ValueError, SMTPException) as error:
        if isinstance(error, SMTPAuthenticationError | SMTPNotSupported):
            log.warning("mail_server_refuses_us", why=type(error).__name__, setting="MALL_SMTP_URL")
        raise SendUnavailable(_said(error)) from error


async def _hand_over(client: aiosmtplib.SMTP, message: EmailMessage) -> None:
    try:
        await client.send_message(message)
    except (OSError, SMTPException) as error:
        raise _failure(error) from error


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Say goodbye. The mail has been taken, so nothing that goes wrong here matters."""
    with suppress(TimeoutError, OSError, SMTPException):
        async with asyncio.timeout(QUIT_S):
            await client.quit()


def _failure(error: Exception) -> Exception:
    """What an error means for the mail: refused for good, certainly not sent, or unknown."""
    if isinstance(error, SMTPRecipientsRefused) and error.recipients:
        return _failure(error.recipients[0])
    if isinstance(error, SMTPRecipientRefused | SMTPDataError):
        if error.code >= 500:
            return SendRefused(_said(error))
        return SendUnavailable(_said(error))
    if isinstance(error, SMTPNotSupported):  # the address needs SMTPUTF8, which the server has not
        return SendRefused(_said(error))
    if isinstance(error, SMTPSenderRefused | SMTPHeloError | SMTPConnectError):
        log.warning("mail_server_refuses_us", why=type(error).__name__, setting="MALL_MAIL_FROM")
        return SendUnavailable(_said(error))
    return SendUnsure(_said(error))


def _said(error: Exception) -> str:
    """The error as one short line, with the server's code and words."""
    return f"{type(error).__name__} {' '.join(str(error).split())}".strip()[:300]


def make_message(
    sender: str, key: str, to: str, subject: str, text: str, html: str, headers: Mapping[str, str]
) -> EmailMessage:
    """Build a mail with a text and an HTML part. `key` becomes the Message-ID, in the sender's domain.

    Raises:
        SendRefused: a header cannot hold its value.
    """
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"{key!r} is no key of a mail")
    name, address = parseaddr(sender)
    message = EmailMessage(policy=SMTP_POLICY)
    try:
        message["From"] = author = _address(address, name)
        message["To"] = _address(to)
        message["Subject"] = subject
        message["Message-ID"] = f"<{key}@{author.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        for header, value in headers.items():
            message[header] = value
    except (ValueError, MessageError) as error:
        raise SendRefused(f"not a header: {error}"[:300]) from error
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def _address(address: str, name: str = "") -> Address:
    """An address for a header, its domain as DNS has it. Another local part than ASCII needs SMTPUTF8.

    Raises:
        SendRefused: it is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise SendRefused("no mail address")
    try:
        return Address(name, found[1], found[2].encode("idna").decode())
    except (ValueError, MessageError) as error:
        raise SendRefused("no mail address") from error
