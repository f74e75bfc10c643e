"""Listening sockets: bound here, or adopted from a supervisor."""

from __future__ import annotations

import argparse
import errno
import socket

from actors.values import frozen
from config.settings import Settings


class StartError(Exception):
    """The instance cannot start; the message says what to change."""


# The port is somebody's, or only root may have it. Whatever else goes wrong is the address's fault.
_PORT_FAULTS = {errno.EADDRINUSE: "it is taken", errno.EACCES: "only root may have it"}


def bind_port(host: str, port: int, variable: str) -> socket.socket:
    """A socket to listen with, before anything else is touched. It listens when the servers
    start: until then a client that connects is refused, and not kept waiting.

    Args:
        host: an address or a name of this machine.
        port: 0 for any that is free.
        variable: `MALL_..._PORT`; the address is in `MALL_..._HOST`.

    Raises:
        StartError: somebody else has the port, or this machine has no such address; names the variable at fault.
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
    """What an instance listens on, and, if it has a supervisor, the ends of two pipes.

    Attributes:
        ready: to be written to when the instance serves.
        lifeline: ends when the supervisor does.
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
    """Bind, or adopt what the supervisor has bound.

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
