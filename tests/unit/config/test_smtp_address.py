"""Addresses of mail servers, as a person writes them."""

from __future__ import annotations

import pytest

from config.settings import SettingsError, load_settings
from config.smtp_address import SmtpAddress, read_smtp_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("smtp://mail.example", SmtpAddress("mail.example", 587, "start")),
        ("smtp://mail.example:25?tls=none", SmtpAddress("mail.example", 25, "none")),
        ("smtp://mail.example:2525?tls=start", SmtpAddress("mail.example", 2525, "start")),
        ("smtps://mail.example", SmtpAddress("mail.example", 465, "implicit")),
        ("smtp://u%40x:p%3A%2F@m.example", SmtpAddress("m.example", 587, "start", "u@x", "p:/")),
        ("smtp://[::1]:25?tls=none", SmtpAddress("::1", 25, "none")),
    ],
)
def test_address_is_read(url: str, address: SmtpAddress) -> None:
    assert read_smtp_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example", "smtp://", "smtp://:25", "smtp://m.example/path", "smtp://m.example:99999",
        "smtp://m.example?tls=maybe", "smtp://m.example?ssl=on", "smtps://m.example?tls=none", "mail.example",
    ],
)  # fmt: skip
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|takes no|knows no"):
        read_smtp_url(url)


def test_password_is_neither_shown_nor_repeated() -> None:
    assert "secret" not in repr(read_smtp_url("smtp://u:secret@m.example"))
    with pytest.raises(SettingsError) as refused:
        load_settings(
            {"MALL_SMTP_URL": "smtp://u:secret@m.example?tls=maybe", "MALL_MAIL_FROM": "a@b.example"}
        )
    assert "MALL_SMTP_URL" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_server_for_mails_needs_a_sender() -> None:
    with pytest.raises(SettingsError, match="MALL_MAIL_FROM"):
        load_settings({"MALL_SMTP_URL": "smtp://m.example"})
    settings = load_settings({"MALL_SMTP_URL": "smtp://m.example", "MALL_MAIL_FROM": "Mall <a@b.example>"})
    assert settings.sends_mail
    with pytest.raises(SettingsError, match="MALL_MAIL_FROM"):
        load_settings({"MALL_MAIL_FROM": "Mall <a@b.example>\r\nBcc: x"})
