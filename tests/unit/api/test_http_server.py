"""Sockets before their doors are open."""

from __future__ import annotations

import socket

import pytest

from api.transport.listening_sockets import StartError, bind_port


def test_bound_port_refuses_whoever_comes_before_it_serves() -> None:
    bound, caller = bind_port("127.0.0.1", 0, "MALL_PORT"), socket.socket()
    with bound, caller, pytest.raises(ConnectionRefusedError):
        caller.connect(bound.getsockname())


def test_port_of_somebody_else_is_refused_with_the_setting_to_change() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StartError, match="set MALL_OPS_PORT"):
            bind_port("127.0.0.1", taken.getsockname()[1], "MALL_OPS_PORT")
