"""Warnings about settings that are allowed but seldom meant. `check` and each start show them."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from config.findings import Finding, warning
from config.settings import SANDBOX, Settings
from config.smtp_address import read_smtp_url


def doubts(settings: Settings) -> list[Finding]:
    """Warnings for an operator."""
    found = []
    if not settings.embedded and settings.gateway_url is None:
        found.append(
            warning(
                "there is no payment gateway: orders by card are refused",
                "set MALL_GATEWAY_URL to the gateway's address, or to `sandbox`, which moves no money",
            )
        )
    elif not settings.embedded and settings.gateway_url == "sandbox":
        found.append(
            warning(
                "the payment gateway is the sandbox: orders by card are taken and no money moves",
                "set MALL_GATEWAY_URL to the gateway's address where customers are real",
            )
        )
    elif _is_open_line(settings.gateway_url or ""):
        found.append(
            warning(
                "the line to the payment gateway is not encrypted", "begin MALL_GATEWAY_URL with https://"
            )
        )
    mail = "" if settings.smtp_url is None else settings.smtp_url.get_secret_value()
    if not settings.embedded and SANDBOX in (mail, settings.sms_url):
        found.append(
            warning(
                "mails or SMS are kept in the database and not sent",
                "set MALL_SMTP_URL and MALL_SMS_URL to real senders where customers are real",
            )
        )
    if _is_open_mail_line(mail):
        found.append(
            warning("the line to the mail server is not encrypted", "leave tls=none out of MALL_SMTP_URL")
        )
    if settings.embedded and settings.sample == "on" and not _is_here(settings.host):
        found.append(
            warning(
                f"strangers reach {settings.host}, and the sample accounts have passwords that everybody knows",
                "set MALL_SAMPLE=off before the first start, or MALL_HOST=127.0.0.1",
            )
        )
    if settings.rate_limits == "off":
        found.append(warning("nobody is limited", "MALL_RATE_LIMITS=off is for load tests"))
    if settings.fast_path == "off":
        found.append(
            warning(
                "slow connections are ended late, and aiohttp itself answers what is no HTTP",
                "MALL_FAST_PATH=off is for an aiohttp with which the server does not start otherwise",
            )
        )
    return found


def _is_open_line(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_here(parts.hostname or "")


def _is_open_mail_line(url: str) -> bool:
    if url in ("", SANDBOX):
        return False
    address = read_smtp_url(url)
    return address.tls == "none" and not _is_here(address.host)


def _is_here(host: str) -> bool:
    """True for a loopback name or address, which only this machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
