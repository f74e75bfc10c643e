"""Turns of several peers in a shared machine's changing weather."""

from __future__ import annotations

from loadtests.bench.__main__ import measure_cell, middle
from loadtests.bench.cells import BenchCase, BenchMeasure
from loadtests.bench.setup import Peer
from loadtests.kit.process_usage import Usage

CELL = BenchCase("accept", 1, 64)


def measure(peer: str, won: int) -> BenchMeasure:
    return BenchMeasure(peer, CELL, won, won, 0, 1.0, 1.0, 2.0, Usage(0.0, 0.0, 0.0))


class Runner:
    """Measures what it is told to."""

    def __init__(self, **won: list[int | None]) -> None:
        self.won = won
        self.order: list[str] = []

    async def measure(self, peer: Peer, cell: BenchCase) -> BenchMeasure:
        self.order.append(peer.letter)
        won = self.won[peer.letter].pop(0)
        if won is None:
            raise TimeoutError
        return measure(peer.letter, won)


async def run(runner: Runner, rounds: int) -> dict[str, int]:
    peers = [Peer(letter, letter) for letter in runner.won]
    found = await measure_cell(runner.measure, peers, CELL, rounds)
    return {m.peer: m.won for m in found}


def test_one_lucky_and_one_unlucky_turn_do_not_count() -> None:
    assert middle([measure("b", 900), measure("b", 100), measure("b", 500)]).won == 500


async def test_every_peer_has_as_many_turns_and_begins_as_often() -> None:
    runner = Runner(b=[1, 9, 5, 6], e=[2, 3, 4, 4])
    assert await run(runner, 4) == {"b": 6, "e": 4}
    assert "".join(runner.order) == "beebbeeb"


async def test_peer_that_hangs_once_is_measured_by_its_other_turns_and_one_that_always_does_is_left_out() -> (
    None
):
    assert await run(Runner(b=[5, None, 5], e=[None, None, None]), 3) == {"b": 5}
