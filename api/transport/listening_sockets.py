"""Listening sockets: bound by this process, or adopted from a supervisor."""

from __future__ import annotations

import argparse
import errno
import socket

from actors.values import frozen
from config.errors import CannotStart
from config.settings import Settings


class StartError(CannotStart):
    """The instance cannot start; the message says what to change."""


# Faults of the port, named by the system; every other error is a fault of the address.
_PORT_FAULTS = {errno.EADDRINUSE: "it is taken", errno.EACCES: "only root may have it"}


def bind_port(host: str, port: int, variable: str) -> socket.socket:
    """Bind a socket before anything else starts.

    It listens when the servers start: until then a connecting client is refused at once and does not wait.

    Args:
        host: an address or a name of this machine.
        port: 0 for any free one.
        variable: `MALL_..._PORT`; the address is in `MALL_..._HOST`.

    Raises:
        StartError: another process has the port, or this machine has no such address; it names the setting at fault.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(_cannot_listen(host, port, variable, error)) from None
    listener.setblocking(False)
    return listener


def _cannot_listen(host: str, port: int, variable: str, error: OSError) -> str:
    address = variable.replace("_PORT", "_HOST")
    why = _PORT_FAULTS.get(error.errno or 0)
    if why is not None:
        return f"cannot listen on {host}:{port}: {why}; set {variable} to another port"
    return (
        f"cannot listen on {host}:{port}: {address} is {host!r}, which is no address of this machine "
        f"({error.strerror or error}); set {address} to one that it has, such as 127.0.0.1, or 0.0.0.0 for all"
    )


def adopt_port(descriptor: int) -> socket.socket:
    """A socket that a supervisor has bound."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


@frozen
class Sockets:
    """Listening sockets of an instance, and, with a supervisor, its ends of two pipes.

    Attributes:
        ready: written to when the instance serves.
        lifeline: reaches its end when the supervisor exits.
    """

    public: socket.socket
    ops: socket.socket
    peers: socket.socket
    ready: int | None = None
    lifeline: int | None = None

    def close(self) -> None:
        """Close the sockets."""
        for listener in (self.public, self.ops, self.peers):
            listener.close()


def open_sockets(settings: Settings, options: argparse.Namespace) -> Sockets:
    """Bind the sockets, or adopt those of the supervisor.

    Raises:
        StartError: a port is taken.
    """
    adopted = options.public is not None
    return Sockets(
        adopt_port(options.public) if adopted else bind_port(settings.host, settings.port, "MALL_PORT"),
        adopt_port(options.ops)
        if adopted
        else bind_port(settings.ops_host, settings.ops_port, "MALL_OPS_PORT"),
        bind_port(settings.peer_host, 0 if adopted else settings.peer_port, "MALL_PEER_PORT"),
        options.ready,
        options.lifeline,
    )
