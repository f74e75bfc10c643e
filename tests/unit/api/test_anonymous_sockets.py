"""Silent sockets are counted by address, and keep nobody out."""

from __future__ import annotations

from contextlib import ExitStack

from api.subscriptions.anonymous_sockets import AnonymousSockets


class Street:
    """Silent sockets by name, and which of them were sent away."""

    def __init__(self, most: int, most_each: int) -> None:
        self.anonymous = AnonymousSockets(most, most_each)
        self.stays: list[ExitStack] = []
        self.gone: list[str] = []

    def come(self, address: str, name: str) -> ExitStack:
        stay = ExitStack()
        self.stays.append(stay)
        stay.enter_context(self.anonymous.staying(address, lambda: self.gone.append(name)))
        return stay


def test_oldest_of_an_address_goes_when_it_has_its_share() -> None:
    street = Street(10, 2)
    stays = [street.come("a", name) for name in ("a1", "a2", "a3", "a4")]
    assert (street.gone, len(street.anonymous)) == (["a1", "a2"], 2)
    for stay in stays:
        stay.close()
    assert len(street.anonymous) == 0


def test_oldest_of_the_address_that_has_most_goes_when_all_places_are_taken() -> None:
    street = Street(4, 3)
    for address, name in (("b", "b1"), ("a", "a1"), ("a", "a2"), ("a", "a3")):
        street.come(address, name)
    street.come("c", "c1")
    assert (street.gone, len(street.anonymous)) == (["a1"], 4)


def test_one_address_cannot_keep_another_out() -> None:
    street = Street(5, 5)
    for number in range(500):
        street.come("evil", f"evil{number}")
    street.come("good", "good")
    street.come("evil", "evil500")
    assert "good" not in street.gone


def test_who_has_said_hello_is_not_sent_away() -> None:
    street = Street(10, 1)
    with street.come("a", "a1"):
        pass
    street.come("a", "a2")
    assert street.gone == []
