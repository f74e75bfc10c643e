"""What a stranger causes is written a few times, and counted."""

from __future__ import annotations

from config.log_sampling import BURST, KINDS_MAX, WINDOW_S, Sampler
from tests.support.clocks import Hands


def test_flood_of_one_kind_is_few_lines_and_the_next_one_counts_the_rest() -> None:
    hands = Hands()
    sampler = Sampler(hands.monotonic)
    taken = [sampler.take("404") for _ in range(1000)]
    assert taken == [0] * BURST + [None] * (1000 - BURST)
    assert sampler.take("401") == 0, "another kind is not drowned"
    hands.now += WINDOW_S
    assert sampler.take("404") == 1000 - BURST
    assert sampler.take("404") == 0


def test_no_number_of_kinds_fills_the_memory() -> None:
    sampler = Sampler(Hands().monotonic)
    assert {sampler.take(str(number)) for number in range(10 * KINDS_MAX)} == {0}
    assert len(sampler._kinds) <= KINDS_MAX
