"""Ports for servers that are started again and again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from loadtests.kit.server import PORTS, ROOT, free_port

CODE = "from loadtests.kit import server; print(server._is_free({port}), server.free_port() != {port})"


async def test_port_that_was_given_is_not_free_for_another_process() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CODE.format(port=free_port()), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.split() == [b"False", b"True"]


def test_port_is_given_once() -> None:
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)


def test_ports_are_not_among_those_of_outgoing_connections() -> None:
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not limits.exists():
        pytest.skip("needs Linux's /proc")
    lowest = int(limits.read_text().split()[0])
    if lowest < 32_768:
        pytest.skip(f"this machine gives ports from {lowest} on to outgoing connections")
    assert PORTS.stop + 10 < lowest
