"""What is allowed in the settings and yet seldom meant: said by `check` and by each start."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from config.findings import Finding, warning
from config.settings import Settings


def doubts(settings: Settings) -> list[Finding]:
    """What an operator should know before the first customer does."""
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
    if settings.rate_limits == "off":
        found.append(warning("nobody is limited", "MALL_RATE_LIMITS=off is for load tests"))
    return found


def _is_open_line(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname in (None, "localhost"):
        return False
    try:
        return not ip_address(str(parts.hostname)).is_loopback
    except ValueError:
        return True
