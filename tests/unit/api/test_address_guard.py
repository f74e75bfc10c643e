"""Which addresses may be reached, and which URLs an endpoint may have."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import pytest

from api.outbound.address_guard import AddressGuard, AddressRefused, is_public
from api.outbound.endpoint_urls import fault_of

INSIDE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.0.9",
    "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.7",
    "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.9", "203.0.113.9",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a00:1::1", "2002:a9fe:a9fe::", "2002:c0a8:1::", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1",
    "fec0::1", "ff02::1", "ff0e::1",
)  # fmt: skip
OUTSIDE = (
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.0.1.1", "192.88.98.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
    "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::",
)  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_private_and_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def _make(guard: AddressGuard, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where: tuple[str, int] | tuple[str, int, int, int] = (
        (host, port, 0, 0) if family == socket.AF_INET6 else (host, port)
    )
    guard((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)).close()


@pytest.mark.parametrize(("host", "port"), [
    ("8.8.8.8", 80), ("8.8.8.8", 22), ("127.0.0.1", 443), ("fe80::1%1", 443), ("2606:4700::1%eth0", 443),
    ("localhost", 443), ("0x7f000001", 443), ("127.1", 443), ("", 443),
])  # fmt: skip
def test_socket_is_refused(host: str, port: int) -> None:
    with pytest.raises(AddressRefused):
        _make(AddressGuard((), public=True), host, port)


@pytest.mark.parametrize(("host", "port"), [("8.8.8.8", 443), ("2606:4700::1111", 8443)])
def test_socket_is_made_for_public_addresses_and_usual_ports(host: str, port: int) -> None:
    _make(AddressGuard((), public=True), host, port)


def test_allowed_network_has_every_port_and_may_be_private() -> None:
    guard = AddressGuard((ip_network("10.1.0.0/16"), ip_network("fd00::/8")), public=False)
    for host in ("10.1.2.3", "fd00::1", "::ffff:10.1.2.3"):
        _make(guard, host, 8080)
    for host in ("10.2.0.1", "8.8.8.8", "fc00::1"):
        with pytest.raises(AddressRefused):
            _make(guard, host, 443)


@pytest.mark.parametrize("url", [
    "https://shop.example/hooks", "https://shop.example:8443/", "https://SHOP.example", "https://8.8.8.8/in?a=b",
    "https://[2606:4700::1111]:8443/", "https://xn--bcher-kva.example/x", "https://shop.example./",
])  # fmt: skip
def test_url_is_accepted(url: str) -> None:
    assert fault_of(url, ()) is None


@pytest.mark.parametrize(("url", "said"), [
    ("http://shop.example/", "https://"), ("ftp://shop.example/", "https://"), ("//shop.example/", "https://"),
    ("shop.example", "https://"), ("javascript:alert(1)", "https://"), ("file:///etc/passwd", "https://"),
    ("https://", "a host"), ("https:///x", "a host"), ("https://user@shop.example/", "a user"),
    ("https://user:pw@shop.example/", "a user"), ("https://@shop.example/", "a user"),
    ("https://shop.example/#part", "a fragment"), ("https://shop.example:80/", "port"),
    ("https://shop.example:22/", "port"), ("https://shop.example:99999/", "a URL"), ("https://[::1", "a URL"),
    ("https://127.0.0.1/", "private"), ("https://10.0.0.8/", "private"), ("https://[::1]/", "private"),
    ("https://[::ffff:169.254.169.254]/", "private"), ("https://[64:ff9b::7f00:1]/", "private"),
    ("https://2130706433/", "usual address"), ("https://0x7f000001/", "usual address"),
    ("https://127.1/", "usual address"), ("https://0177.0.0.1/", "usual address"),
    ("https://shop.example\\@10.0.0.1/", "visible"), ("https://shop .example/", "visible"),
    ("https://①②⑦.0.0.1/", "visible"), ("https://bücher.example/", "visible"), ("https://a\n.example/", "visible"),
    ("https://shop..example/", "usual address"), ("https://-a.example/", "usual address"),
    ("https://" + "a" * 2000, "visible"), ("", "https://"), ("https://8.8.8.8:25/", "port"),
])  # fmt: skip
def test_url_is_refused_and_its_fault_is_said(url: str, said: str) -> None:
    fault = fault_of(url, ())
    assert fault is not None
    assert said in fault


def test_allowed_network_permits_http_and_other_ports_there() -> None:
    allowed = (ip_network("10.1.0.0/16"),)
    assert fault_of("http://10.1.2.3:8080/in", allowed) is None
    assert fault_of("http://shop.internal:8080/in", allowed) is None
    assert fault_of("http://10.2.0.1/in", allowed) == "must begin with https://"
    assert fault_of("https://10.2.0.1/in", allowed) == "must not name a private or special address"
    assert fault_of("http://8.8.8.8/in", allowed) == "must begin with https://"
