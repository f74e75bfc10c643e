"""Mail by SMTP to a real server: what arrives, and what each failure means for the mail."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from api.outbound.mail import SmtpMail
from config.smtp_address import SmtpAddress, read_smtp_url
from dispatch.notices.ports import SendRefused, SendUnavailable, SendUnsure
from tests.support.certificates import make_certificates
from tests.support.letters import NOON_MS
from tests.support.mail_server import MailServer

SENDER = "Mäll Delivery <no-reply@mall.example>"
TRACE = "0af7651916cd43dd8448eb211c80319c"
HTML = "<!doctype html><p>Grüße aus dem Café</p>"


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[MailServer]:
    server = MailServer(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with running() as opened:
        yield opened


def sender(server: MailServer, deadline_s: float = 5.0, **changed: Any) -> SmtpMail:
    given = {"host": "127.0.0.1", "port": server.port, "tls": "none", **changed}
    return SmtpMail(SmtpAddress(**given), SENDER, lambda: NOON_MS / 1000, deadline_s)


async def send(mail: SmtpMail, to: str = "zoe@mall.example", key: str = "notice-7") -> None:
    await mail.send(key, to, "Ihre Bestellung – bestätigt", "Grüße, Zoë\n", HTML, {"X-Trace-Id": TRACE})


async def test_mail_arrives_with_its_identity_trace_and_umlauts(server: MailServer) -> None:
    await send(SmtpMail(read_smtp_url(server.url), SENDER, lambda: NOON_MS / 1000))
    [mail] = server.mails
    assert server.recipients == ["zoe@mall.example"]
    assert mail["Message-ID"] == "<notice-7@mall.example>"
    assert mail["X-Trace-Id"] == TRACE
    assert mail["Subject"] == "Ihre Bestellung – bestätigt"
    assert mail["From"] == SENDER
    assert mail["To"] == "zoe@mall.example"
    assert mail["Date"] == "Sun, 01 Mar 2026 12:00:00 -0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert text.get_content().splitlines() == ["Grüße, Zoë"]
    assert html is not None
    assert html.get_content().strip() == HTML


async def test_domain_with_an_umlaut_is_written_as_dns_has_it(server: MailServer) -> None:
    await send(sender(server), "zoe@bücher.example")
    assert server.recipients == ["zoe@xn--bcher-kva.example"]


async def test_name_with_an_umlaut_is_kept_where_the_server_takes_it(server: MailServer) -> None:
    await send(sender(server), "zoë@mall.example")
    assert server.recipients == ["zoë@mall.example"]


async def test_login_is_sent_where_there_is_one() -> None:
    async with running(auth_required=True) as server:
        await send(sender(server, user="mall", password="right"))
        assert server.logins == [("mall", "right")]
        assert len(server.mails) == 1


async def test_wrong_password_is_a_fault_of_ours_that_can_be_mended() -> None:
    async with running(auth_required=True) as server:
        with pytest.raises(SendUnavailable):
            await send(sender(server, user="mall", password="wrong"))
        assert server.mails == []


async def test_server_that_is_away_has_certainly_got_nothing(server: MailServer) -> None:
    await server.stop()
    with pytest.raises(SendUnavailable):
        await send(sender(server))


async def test_line_that_should_be_encrypted_and_cannot_be_is_not_used(server: MailServer) -> None:
    with pytest.raises(SendUnavailable):
        await send(sender(server, tls="start"))
    assert server.mails == []


@pytest.mark.parametrize(
    ("answer", "means"),
    [("451 try later", SendUnavailable), ("452 full", SendUnavailable), ("554 spam", SendRefused)],
)
async def test_answer_to_the_mail_says_whether_to_try_again(
    server: MailServer, answer: str, means: type[Exception]
) -> None:
    server.answers = [answer]
    with pytest.raises(means, match=answer[:3]):
        await send(sender(server))
    await send(sender(server))
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("answer", "means"), [("450 greylisted", SendUnavailable), ("550 no such user", SendRefused)]
)
async def test_answer_to_the_address_says_whether_to_try_again(
    server: MailServer, answer: str, means: type[Exception]
) -> None:
    server.recipient_answers = [answer]
    with pytest.raises(means, match=answer[:3]):
        await send(sender(server))


async def test_server_that_hangs_leaves_it_unknown(server: MailServer) -> None:
    server.hangs = True
    with pytest.raises(SendUnsure):
        await send(sender(server, deadline_s=0.2))


@pytest.mark.parametrize("to", ["zoe@mall.example\r\nBcc: all@mall.example", "no address", "a@b@c d"])
async def test_address_that_is_none_is_refused_for_good(server: MailServer, to: str) -> None:
    with pytest.raises(SendRefused):
        await send(sender(server), to)
    assert server.mails == []


async def test_each_mail_has_a_connection_of_its_own(server: MailServer) -> None:
    mail = sender(server)
    await send(mail, key="notice-1")
    await server.stop()
    await server.start()
    await send(mail, key="notice-2")
    assert server.ids() == ["<notice-1@mall.example>", "<notice-2@mall.example>"]


async def test_line_is_encrypted_by_starttls_and_a_stranger_is_not_believed(tmp_path: Path) -> None:
    certificate, key, authority = make_certificates(tmp_path, ["mx.test"])["mx.test"]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(authority))
    trust.check_hostname = False
    async with running(tls_context=context, require_starttls=True) as server:
        at = SmtpAddress("127.0.0.1", server.port, "start")
        with pytest.raises(SendUnavailable):
            await send(SmtpMail(at, SENDER, lambda: 0.0))
        assert server.mails == []
        await send(SmtpMail(at, SENDER, lambda: 0.0, trust=trust))
        assert len(server.mails) == 1
