"""Address guard: refuses connections to private and special addresses when a socket is made.

It is the socket factory of the connector, so it sees each address just before the connection. A check of the URL or of
a resolver's answer does not suffice: the name may resolve to something else a moment later, and aiohttp resolves no
addresses.

The list is our own: `ipaddress.is_global` depends on the version of Python, and calls some of these networks public.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from aiohttp import AddrInfoType

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

PORTS = frozenset({443, 8443})
_REFUSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3",
    )
)  # fmt: skip
# Everything else than this is local, special or not in use.
_GLOBAL_6 = IPv6Network("2000::/3")
# In it: protocols (Teredo is one of them) and documentation.
_REFUSED_6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """No connection may be made to this address."""


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside of a mapped, NAT64 or 6to4 one; any other address as it is."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """True for an address that anybody may reach."""
    inner = unwrapped(address)
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in _REFUSED_4)
    return inner in _GLOBAL_6 and not any(inner in network for network in _REFUSED_6)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """True when the address, or the one inside of it, is of one of the networks."""
    return any(one in network for one in {address, unwrapped(address)} for network in networks)


class AddressGuard:
    """Socket factory that makes sockets for permitted addresses only.

    Args:
        allowed: networks that are permitted with any port, private ones too.
        public: public addresses are permitted, with the ports of PORTS.
    """

    def __init__(self, allowed: Sequence[Network], *, public: bool) -> None:
        self._allowed = tuple(allowed)
        self._public = public

    def permits(self, host: str, port: int) -> bool:
        """True when a connection to this address may be made. Anything but an address is refused."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if is_within(address, self._allowed):
            return True
        # A zone names an interface of this machine.
        zone = isinstance(address, IPv6Address) and address.scope_id is not None
        return self._public and not zone and port in PORTS and is_public(address)

    def __call__(self, info: AddrInfoType) -> socket.socket:
        """Make the socket for an address.

        Raises:
            AddressRefused: it is not permitted.
        """
        family, kind, protocol, _, address = info
        host, port = str(address[0]), int(address[1])
        if not self.permits(host, port):
            raise AddressRefused(f"{host} port {port} is not permitted")
        return socket.socket(family, kind, protocol)
