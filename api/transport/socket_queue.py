"""The kernel's send queue of a connection."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios


def queued_bytes(wire: asyncio.Transport) -> int:
    """Bytes in the kernel that the other side has not acknowledged; 0 where the system does not tell."""
    sock = wire.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
