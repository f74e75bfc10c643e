"""Whose address counts: nothing that a caller writes moves him to another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from api.ratelimit.client_address import NOWHERE, client_address, count_under, read_networks

PROXIES = read_networks(["10.0.0.0/8", "2001:db8:aaaa::/48", "192.0.2.7"])
OUR_PROXY, CALLER, LIE = "10.0.0.1", "203.0.113.9", "198.51.100.1"


def found(peer: str | None, *headers: tuple[str, str], proxied: bool = True) -> str:
    return client_address(peer, CIMultiDict(headers), PROXIES if proxied else ())


def xff(*lines: str) -> tuple[tuple[str, str], ...]:
    return tuple(("X-Forwarded-For", line) for line in lines)


def forwarded(*lines: str) -> tuple[tuple[str, str], ...]:
    return tuple(("Forwarded", line) for line in lines)


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        # Not one of ours: it speaks for itself alone.
        (CALLER, (), CALLER),
        (CALLER, xff(LIE), CALLER),
        (CALLER, forwarded(f"for={LIE}"), CALLER),
        # One of ours: the first hop from the right that is not.
        (OUR_PROXY, (), OUR_PROXY),
        (OUR_PROXY, xff(CALLER), CALLER),
        (OUR_PROXY, xff(f"{LIE}, {CALLER}"), CALLER),
        (OUR_PROXY, xff(f"{LIE},{CALLER},10.9.9.9, 192.0.2.7"), CALLER),
        (OUR_PROXY, xff(LIE, CALLER), CALLER),
        (OUR_PROXY, xff(f"{LIE}, {CALLER}", "10.2.2.2"), CALLER),
        ("192.0.2.8", xff(LIE), "192.0.2.8"),
        ("::ffff:10.0.0.1", xff(CALLER), CALLER),
        ("2001:db8:aaaa::1", xff("2001:db8::5"), "2001:db8::5"),
        # All hops are ours: the farthest of them.
        (OUR_PROXY, xff("10.3.3.3, 10.2.2.2"), "10.3.3.3"),
        # What cannot be read hides what is left of it.
        (OUR_PROXY, xff(f"{LIE}, unknown"), OUR_PROXY),
        (OUR_PROXY, xff(f"{LIE}, , 10.2.2.2"), "10.2.2.2"),
        (OUR_PROXY, xff(""), OUR_PROXY),
        (OUR_PROXY, xff(f"{CALLER}.evil"), OUR_PROXY),
        (OUR_PROXY, xff("010.1.1.1"), OUR_PROXY),
        (OUR_PROXY, xff("fe80::1%eth0"), OUR_PROXY),
        (OUR_PROXY, xff(f"{LIE}," + ",".join(["10.2.2.2"] * 40)), "10.2.2.2"),
        # Forms of an address.
        (OUR_PROXY, xff(f"{CALLER}:4711"), CALLER),
        (OUR_PROXY, xff("[2001:db8::5]:4711"), "2001:db8::5"),
        (OUR_PROXY, xff("[2001:db8::5]"), "2001:db8::5"),
        (OUR_PROXY, xff(f"::ffff:{CALLER}"), CALLER),
        (OUR_PROXY, xff("[2001:db8::5]x"), OUR_PROXY),
        (OUR_PROXY, xff("2001:db8::5]"), OUR_PROXY),
        # Forwarded.
        (OUR_PROXY, forwarded(f"for={CALLER}"), CALLER),
        (OUR_PROXY, forwarded(f"For={CALLER};proto=https;by={OUR_PROXY}"), CALLER),
        (OUR_PROXY, forwarded(f"for={LIE}, proto=http ;for={CALLER}, for=10.2.2.2"), CALLER),
        (OUR_PROXY, forwarded('for="[2001:db8::5]:4711";by=_x'), "2001:db8::5"),
        (OUR_PROXY, forwarded(f'for="{CALLER}:99"'), CALLER),
        (OUR_PROXY, forwarded(f"for={LIE}", f"for={CALLER}"), CALLER),
        (OUR_PROXY, forwarded(f"for={LIE}, for=_hidden"), OUR_PROXY),
        (OUR_PROXY, forwarded(f"for={LIE}, by=10.2.2.2"), OUR_PROXY),
        (OUR_PROXY, forwarded(f"for={LIE};for={CALLER}"), OUR_PROXY),
        # A quote that the caller has opened swallows what our proxy has added: then nothing is believed.
        (OUR_PROXY, forwarded(f'for={LIE};x=", for={CALLER}'), OUR_PROXY),
        (OUR_PROXY, forwarded(f'for={LIE};x=", for="{CALLER}"'), OUR_PROXY),
        # Two headers, two stories: one of them is the caller's.
        (OUR_PROXY, (*xff(CALLER), *forwarded(f"for={LIE}")), OUR_PROXY),
        (OUR_PROXY, (*xff(f"{LIE}, {CALLER}"), *forwarded(f"for={CALLER}")), CALLER),
        # No address at all.
        (None, xff(CALLER), NOWHERE),
        ("", (), NOWHERE),
    ],
)
def test_caller_is_the_nearest_hop_that_is_not_ours(
    peer: str | None, headers: tuple[tuple[str, str], ...], expected: str
) -> None:
    assert found(peer, *headers) == expected


def test_without_proxies_no_header_is_read() -> None:
    assert found(OUR_PROXY, *xff(CALLER), *forwarded(f"for={CALLER}"), proxied=False) == OUR_PROXY


anything = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60)
names = st.sampled_from(["X-Forwarded-For", "Forwarded"])


@given(st.lists(st.tuples(names, anything), max_size=4))
def test_nothing_that_a_stranger_writes_changes_his_address(headers: list[tuple[str, str]]) -> None:
    assert found(CALLER, *headers) == CALLER


@given(anything)
def test_nothing_left_of_the_hop_that_our_proxy_has_added_matters(lie: str) -> None:
    assert found(OUR_PROXY, *xff(f"{lie}, {CALLER}")) == CALLER
    assert found(OUR_PROXY, *xff(lie, CALLER)) == CALLER
    assert found(OUR_PROXY, *forwarded(lie, f"for={CALLER}")) == CALLER


@given(anything)
def test_what_a_caller_writes_into_the_line_of_our_proxy_gains_him_nothing(lie: str) -> None:
    assert found(OUR_PROXY, *forwarded(f"{lie}, for={CALLER}")) in (CALLER, OUR_PROXY)
    assert found(OUR_PROXY, *forwarded(f'{lie}, for="{CALLER}:80"')) in (CALLER, OUR_PROXY)
    assert found(OUR_PROXY, *xff(CALLER), *forwarded(lie)) in (CALLER, OUR_PROXY)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        (NOWHERE, NOWHERE),
    ],
)
def test_network_of_a_customer_counts_as_one_address(address: str, key: str) -> None:
    assert count_under(address) == key
