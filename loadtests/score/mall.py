"""Plays a mall in virtual time at several rates: what pooling saves, beside the planner without it and hindsight.

Distances are driven metres of an order, along the way, with the way back to the mall. `found`: what good trips would
have saved with everything known, `bound`: what no trips could exceed (dispatch/domain/planning/hindsight.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.kit.tool import add_options, finish, make_parser, option
from loadtests.score.mall_hours import (
    DETOUR_MAX_S,
    Hindsight,
    MallCase,
    MallOutcome,
    hindsight,
    play,
    pooled,
    today,
)

PLANNER, ONE_SITE, POOLING = "planner", "one site", "pooling"
HEADER = (
    f"{'rate':>4} {'orders':>6} {'dispatcher':<9} {'m/order':>8} {'saved':>6} {'kept':>6} {'door min':>8} {'trips':>6}"
    f" {'detour s':>8}"
)


@dataclass(frozen=True, slots=True)
class MallOptions:
    """What to play."""

    rates: tuple[float, ...] = (1.0, 3.0, 6.0)
    seeds: int = option(2, "hours that are drawn for each rate [%(default)s]")
    minutes: float = option(120.0, "during which orders come [%(default)g]")
    preparation_s: float = option(600.0, "until goods are ready, at most [%(default)g]")


@dataclass(frozen=True, slots=True)
class MallLine:
    """A dispatcher at a rate. `saved`: share of the distance alone; `kept`: share of promises."""

    rate: float
    dispatcher: str
    orders: int
    driven_m: float
    saved: float
    kept: float
    click_to_door_min: float
    trips: int
    worst_detour_s: float


@dataclass(frozen=True, slots=True)
class HindsightLine:
    """What everything known is worth at a rate, as shares of the distance alone."""

    rate: float
    alone_m: float
    found: float
    bound: float


@dataclass(frozen=True, slots=True)
class MallReport:
    """All rates."""

    lines_of: tuple[MallLine, ...]
    hindsight: tuple[HindsightLine, ...]

    @property
    def broken(self) -> list[str]:
        """What contradicts the promises of pooling."""
        found = []
        planners = {line.rate: line for line in self.lines_of if line.dispatcher == PLANNER}
        bounds = {line.rate: line.bound for line in self.hindsight}
        for line in self.lines_of:
            if line.dispatcher != POOLING:
                continue
            if line.kept < planners[line.rate].kept:
                found.append(f"{line.rate:g} a minute: pooling breaks promises that the planner keeps")
            if line.worst_detour_s > DETOUR_MAX_S + 1e-6:
                found.append(f"{line.rate:g} a minute: an order is longer under way than the cap allows")
            if not planners[line.rate].saved < line.saved <= bounds[line.rate]:
                found.append(
                    f"{line.rate:g} a minute: pooling saves no more than the planner, or more than the bound"
                )
        return found

    @property
    def passed(self) -> bool:
        """True when pooling saves distance and breaks nothing."""
        return not self.broken

    def lines(self) -> list[str]:
        """For people."""
        made = [HEADER]
        for after in self.hindsight:
            made.append(f"{after.rate:>4g} {'':>6} {'alone':<9} {after.alone_m:>8.0f}")
            made += [_text(line) for line in self.lines_of if line.rate == after.rate]
            for name, share in (("found", after.found), ("bound", after.bound)):
                made.append(
                    f"{after.rate:>4g} {'':>6} {name:<9} {after.alone_m * (1 - share):>8.0f} {share:>6.1%}"
                )
        return [*made, *self.broken, "passed" if self.passed else "FAILED"]

    def write(self, path: Path) -> None:
        """For machines."""
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "passed": self.passed,
            "lines": [asdict(line) for line in self.lines_of],
            "hindsight": [asdict(line) for line in self.hindsight],
            "broken": self.broken,
        }
        path.write_text(json.dumps(found, indent=2) + "\n")


def _text(line: MallLine) -> str:
    return (
        f"{line.rate:>4g} {line.orders:>6} {line.dispatcher:<9} {line.driven_m:>8.0f} {line.saved:>6.1%}"
        f" {line.kept:>6.1%} {line.click_to_door_min:>8.1f} {line.trips:>6} {line.worst_detour_s:>8.0f}"
    )


def score_mall(options: MallOptions) -> MallReport:
    """All rates with all seeds; the figures of a rate are over all orders of its seeds."""
    lines: list[MallLine] = []
    after: list[HindsightLine] = []
    for rate in options.rates:
        cases = [
            MallCase(rate, seed, options.minutes, options.preparation_s)
            for seed in range(1, options.seeds + 1)
        ]
        lines += _dispatchers(rate, cases)
        orders = [case.orders() for case in cases]
        alone_m = sum(MallOutcome(each).alone_m for each in orders)
        known = [hindsight(each) for each in orders]
        after.append(_after(rate, alone_m, sum(len(each) for each in orders), known))
    return MallReport(tuple(lines), tuple(after))


def _dispatchers(rate: float, cases: Sequence[MallCase]) -> Iterator[MallLine]:
    """Today's zones, with a site for each store or one for all; and one that pools."""
    for name, planner, one_site in (
        (PLANNER, today, False),
        (ONE_SITE, today, True),
        (POOLING, pooled, True),
    ):
        played = [play(case, planner, one_site=one_site) for case in cases]
        orders = sum(len(each.orders) for each in played)
        driven_m, alone_m = sum(each.driven_m for each in played), sum(each.alone_m for each in played)
        yield MallLine(
            rate,
            name,
            orders,
            driven_m / orders,
            1 - driven_m / alone_m,
            sum(each.kept * len(each.orders) for each in played) / orders,
            sum(each.click_to_door_s * len(each.orders) for each in played) / orders / 60,
            sum(each.trips for each in played),
            max(each.worst_detour_s for each in played),
        )


def _after(rate: float, alone_m: float, orders: int, known: Sequence[Hindsight]) -> HindsightLine:
    found_m, bound_m = sum(each.found_m for each in known), sum(each.bound_m for each in known)
    return HindsightLine(rate, alone_m / orders, found_m / alone_m, bound_m / alone_m)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the mall; 1 when pooling breaks what it promises."""
    parser = make_parser("loadtests.score.mall", __doc__)
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[1.0, 3.0, 6.0], metavar="RATE", help="orders a minute"
    )
    add_options(parser, MallOptions)
    found = vars(parser.parse_args(arguments))
    json_path, rates = found.pop("json"), tuple(found.pop("rates"))
    if min(rates) <= 0 or min(found["seeds"], found["minutes"]) <= 0 or found["preparation_s"] < 0:
        parser.error("rates, seeds and minutes are positive")
    return finish(score_mall(MallOptions(rates, **found)), json_path)


if __name__ == "__main__":
    sys.exit(main())
