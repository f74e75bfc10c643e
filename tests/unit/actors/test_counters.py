"""Counters of the runtime."""

from __future__ import annotations

from collections.abc import Iterator

from actors.counters import Counters
from actors.errors import ActorError, NotProcessed


def _kinds(of: type[ActorError]) -> Iterator[type[ActorError]]:
    for kind in of.__subclasses__():
        if kind is not NotProcessed:
            yield kind
        yield from _kinds(kind)


def test_every_refusal_stands_at_zero_from_the_start() -> None:
    own = {kind.__name__ for kind in _kinds(ActorError) if kind.__module__ == ActorError.__module__}
    assert "Unavailable" in own
    assert dict(Counters().refusals) == dict.fromkeys(own, 0)


def test_what_has_not_happened_yet_is_counted_as_zero() -> None:
    counters = Counters()
    for counted in (counters.activations, counters.passivations, counters.outcomes, counters.settled):
        assert set(counted.values()) == {0}
