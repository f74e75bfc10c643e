"""URLs of endpoints: https, a host, no user. What the host resolves to is checked when a connection is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

from yarl import URL

from api.outbound.address_guard import PORTS, AddressGuard, Network, is_public, is_within

LENGTH_MAX = 2000
_HOST = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII
)
# A host that a resolver reads as an IPv4 address: 127.1, 0x7f.1, 2130706433.
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", re.ASCII)


def fault_of(text: str, allowed: Sequence[Network]) -> str | None:
    """What is wrong with a URL; None for one that an endpoint may have.

    `allowed` are the networks of MALL_WEBHOOK_NETWORKS: http, other ports and private addresses are permitted there.
    """
    if len(text) > LENGTH_MAX or not text.isascii() or re.search(r"[\x00-\x20\x7f\\]", text):
        return f"must be a URL of at most {LENGTH_MAX} visible ASCII characters"
    try:
        url = URL(text)
        host, port = url.raw_host or "", url.port
    except ValueError:
        return "must be a URL"
    if url.scheme != "https" and not (url.scheme == "http" and allowed):
        return "must begin with https://"
    if url.user is not None or url.password is not None or "@" in text.split("/")[2]:
        return "must not hold a user or a password"
    if url.fragment or "#" in text:
        return "must not hold a fragment"
    if not host:
        return "must name a host"
    return _fault_of_host(host.lower(), port, allowed, plain=url.scheme == "http")


def _fault_of_host(host: str, port: int | None, allowed: Sequence[Network], *, plain: bool) -> str | None:
    try:
        address = ip_address(host)
    except ValueError:
        if _HOST.fullmatch(host.removesuffix(".")) is None or _NUMERIC.fullmatch(host):
            return "must name a host by its name or its usual address"
        # Whether a name with another port, or without TLS, is of an allowed network is seen when a connection is made.
        if port not in PORTS and not allowed:
            return "must have port 443 or 8443"
        return None
    if is_within(address, allowed):
        return None
    if plain:
        return "must begin with https://"
    if not is_public(address):
        return "must not name a private or special address"
    if not AddressGuard((), public=True).permits(host, port or 0):
        return "must have port 443 or 8443"
    return None
