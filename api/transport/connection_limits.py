"""How many connections each address has.

A network that is not counted holds proxies and load balancers: behind one address of theirs is everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

# A proxy, a load balancer or a load test nearly always has such an address.
PRIVATE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1", "fc00::/7",
        "fe80::/10",
    )
)  # fmt: skip


class ConnectionCounts:
    """Connections by address, and whether another one may come.

    Args:
        most: connections that one address may have; 0: any number.
        uncounted: networks that may have any number; None: all private ones.
    """

    def __init__(self, most: int, uncounted: Sequence[Network] | None = None) -> None:
        self._most = most
        self._uncounted = PRIVATE if uncounted is None else tuple(uncounted)
        self._open: dict[str, int] = {}
        # As many as may well connect at once; asking again only costs a little time.
        self._counts = lru_cache(maxsize=4096)(self._is_counted)

    def __len__(self) -> int:
        """How many addresses are known at the moment."""
        return len(self._open)

    def enter(self, address: str) -> bool:
        """Count a connection; False when its address has too many. Each True takes one `leave`."""
        if self._most == 0 or not self._counts(address):
            return True
        count = self._open.get(address, 0)
        if count >= self._most:
            return False
        self._open[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """A connection that was let in has ended."""
        count = self._open.get(address)
        if count is None:
            return
        if count > 1:
            self._open[address] = count - 1
        else:
            del self._open[address]

    def _is_counted(self, address: str) -> bool:
        """Unix sockets have no address, and are not counted."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        found = found if mapped is None else mapped
        return not any(found in network for network in self._uncounted)
