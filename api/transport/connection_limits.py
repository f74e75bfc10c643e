"""Limits of connections per client address.

Some networks are not counted: they hold proxies and load balancers, whose one address stands for all clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

# Addresses of proxies, load balancers and load tests are nearly always in one of these.
PRIVATE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1", "fc00::/7",
        "fe80::/10",
    )
)  # fmt: skip


class ConnectionCounts:
    """Connections counted by address, and the check whether another one may open.

    Args:
        most: connections that one address may have; 0 means any number.
        uncounted: networks without a limit; None means all private ones.
    """

    def __init__(self, most: int, uncounted: Sequence[Network] | None = None) -> None:
        self._most = most
        self._uncounted = PRIVATE if uncounted is None else tuple(uncounted)
        self._open: dict[str, int] = {}
        # The cache covers the addresses that connect at once; a miss only costs a little time.
        self._counts = lru_cache(maxsize=4096)(self._is_counted)

    def __len__(self) -> int:
        """Number of addresses with a connection."""
        return len(self._open)

    def enter(self, address: str) -> bool:
        """Count a connection; False when its address has too many. Each True needs one `leave`."""
        if self._most == 0 or not self._counts(address):
            return True
        count = self._open.get(address, 0)
        if count >= self._most:
            return False
        self._open[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """Uncount a connection that was counted."""
        count = self._open.get(address)
        if count is None:
            return
        if count > 1:
            self._open[address] = count - 1
        else:
            del self._open[address]

    def _is_counted(self, address: str) -> bool:
        """True for an address with a limit; Unix sockets have no address and no limit."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        found = found if mapped is None else mapped
        return not any(found in network for network in self._uncounted)
