"""Client address: the address that a request counts for. Pure.

It is the transport's peer, unless that is one of our own proxies: then it is the nearest hop that is not. The hops
further left in `X-Forwarded-For` or `Forwarded` (RFC 7239) come from the caller, who can write anything. Without
configured proxies neither header is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from multidict import CIMultiDict, CIMultiDictProxy

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = CIMultiDict[str] | CIMultiDictProxy[str]

# Limit of proxies in a row; further ones are ignored.
HOPS_MAX = 16
# One customer's network has 2^64 addresses of version 6, and may use each of them once.
V6_PREFIX = 64
# Counts for all callers without an address, as on a Unix socket.
NOWHERE = "-"
_CACHED = 8192
_PORT = re.compile(r":[0-9]{1,5}")
# One pair of a Forwarded element and its end. It cannot backtrack: no two parts can match the same text.
_PAIR = re.compile(
    r'[ \t]*([\w!#$%&\'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;= \t]*))[ \t]*(;|,|$)', re.ASCII
)


def read_networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Parse the networks of our proxies.

    Raises:
        ValueError: one is not a network.
    """
    return tuple(ip_network(cidr, strict=False) for cidr in cidrs)


@lru_cache(_CACHED)
def read_address(text: str) -> Address | None:
    """Parse an address; version 4 inside of version 6 becomes version 4. None for any other text, scoped or not."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address


@lru_cache(_CACHED)
def count_under(text: str) -> str:
    """The network that an address counts for: itself, or the /64 of a version 6 customer."""
    address = read_address(text)
    if address is None:
        return NOWHERE
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, V6_PREFIX), strict=False).network_address) + f"/{V6_PREFIX}"
    return str(address)


@lru_cache(_CACHED)
def networks_around(counted: str, prefixes: tuple[int, ...]) -> Mapping[int, str]:
    """The wider networks around a result of `count_under`, by prefix length; none for version 4."""
    if "/" not in counted:
        return {}
    network = IPv6Network(counted)
    return {prefix: str(network.supernet(new_prefix=prefix)) for prefix in prefixes}


def client_address(peer: str | None, headers: Headers, proxies: Sequence[Network]) -> str:
    """The caller's address: the peer, or behind our proxies the first hop from the right that is not one of them.

    An unreadable hop hides all hops left of it, and the proxy that sent it stands for the caller. The proxy also stands
    for the caller when the two headers contradict each other: our proxies write one of them, and the caller wrote the
    other.
    """
    nearest = read_address(peer or "")
    if nearest is None:
        return NOWHERE
    if not proxies or not _is_ours(nearest, proxies):
        return str(nearest)
    told = {
        _walk(nearest, hops(headers.getall(name)), proxies)
        for name, hops in _HEADERS.items()
        if name in headers
    }
    return str(told.pop() if len(told) == 1 else nearest)


def _walk(nearest: Address, hops: Iterator[str], proxies: Sequence[Network]) -> Address:
    for _, hop in zip(range(HOPS_MAX), hops, strict=False):
        address = read_address(_without_port(hop))
        if address is None:
            break
        nearest = address
        if not _is_ours(address, proxies):
            break
    return nearest


def _is_ours(address: Address, proxies: Sequence[Network]) -> bool:
    return any(address in network for network in proxies)


def _without_port(hop: str) -> str:
    """`a`, `a:port`, `[a]` and `[a]:port` become `a`; any other text stays as it is, and is not an address."""
    host, bracket, rest = hop.partition("]")
    if bracket:
        return host[1:] if host.startswith("[") and (not rest or _PORT.fullmatch(rest)) else hop
    host, colon, port = hop.partition(":")
    return host if colon and _PORT.fullmatch(":" + port) and "." in host else hop


def _x_forwarded(lines: Sequence[str]) -> Iterator[str]:
    """Hops of X-Forwarded-For, from the right."""
    for line in reversed(lines):
        for hop in reversed(line.split(",")):
            yield hop.strip()


def _forwarded(lines: Sequence[str]) -> Iterator[str]:
    """Hops of Forwarded, from the right; "" for an element without `for`, and for an unreadable line."""
    for line in reversed(lines):
        yield from reversed(_elements(line))


def _elements(line: str) -> list[str]:
    """The `for` of each element of one Forwarded line."""
    found, hop, at = [], "", 0
    while at < len(line):
        pair = _PAIR.match(line, at)
        if pair is None:
            return [""]
        name, quoted, token, ending = pair.groups()
        if name.lower() == "for":
            if hop:
                return [""]  # twice in one element: one of them does not come from the proxy
            hop = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if ending != ";":
            found.append(hop)
            hop = ""
        at = pair.end()
    return found


_HEADERS: Mapping[str, Callable[[Sequence[str]], Iterator[str]]] = {
    "X-Forwarded-For": _x_forwarded,
    "Forwarded": _forwarded,
}
