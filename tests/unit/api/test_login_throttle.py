"""Who counts as one when logins are slowed down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from api.ratelimit.admission import AdmissionControl
from api.rest.login_throttle import account_of, network_of
from config.settings import load_settings


def network(remote: str | None) -> str:
    limits: Any = SimpleNamespace(clock=None)
    keys: Any = None
    services = SimpleNamespace(admission=AdmissionControl(load_settings({}), limits, keys))
    context: Any = SimpleNamespace(request=SimpleNamespace(remote=remote, headers={}), services=services)
    return network_of(context)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_addresses_of_one_network_are_one(one: str, two: str) -> None:
    assert network(one) == network(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", None),
        ("", "192.0.2.1"),
    ],
)
def test_other_networks_are_others(one: str, two: str | None) -> None:
    assert network(one) != network(two)


def test_digest_does_not_show_the_address() -> None:
    assert "192.0.2.1" not in network("192.0.2.1")


def test_attempts_at_an_account_count_under_its_number_and_others_under_the_address() -> None:
    assert account_of(7, "ann@example.org") == account_of(7, "another@example.org")
    assert account_of(None, "ann@example.org") == account_of(None, "ann@example.org")
    assert (
        len({account_of(7, "a@b"), account_of(8, "a@b"), account_of(None, "a@b"), account_of(None, "b@b")})
        == 4
    )
