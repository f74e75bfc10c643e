"""What only the kernel knows of a connection."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios


def queued_bytes(wire: asyncio.Transport) -> int:
    """What the kernel has of a connection that the other side has not acknowledged; 0 where it does not say."""
    sock = wire.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
