"""The file that the runner hands to locust: the profile as it is to be played, and its people. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from loadtests.rush.habits import Habits
from loadtests.rush.profiles import Bounds, Profile

# Locust finds the play, and where to put its measures, in these variables.
PLAY, TAKE = "MALL_RUSH_PLAY", "MALL_RUSH_TAKE"


@dataclass(frozen=True, slots=True)
class Part:
    """Somebody who takes part: a token, and the zone."""

    token: str
    zone_id: str


@dataclass(frozen=True, slots=True)
class Play:
    """Everything that locust must know; `owner` is the token of an administrator, who restocks."""

    url: str
    owner: str
    profile: Profile
    customers: tuple[Part, ...]
    drivers: tuple[Part, ...]
    products: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Readable by its owner alone: tokens are in it."""
        path.touch(mode=0o600)
        path.write_bytes(orjson.dumps(asdict(self)))


def read_play(path: Path) -> Play:
    """The play as it was written."""
    raw = orjson.loads(path.read_bytes())
    return Play(
        raw["url"],
        raw["owner"],
        _profile(raw["profile"]),
        tuple(Part(**part) for part in raw["customers"]),
        tuple(Part(**part) for part in raw["drivers"]),
        tuple(raw["products"]),
    )


def _profile(raw: dict[str, Any]) -> Profile:
    habits: dict[str, Any] = {
        name: tuple(x) if isinstance(x, list) else x for name, x in raw["habits"].items()
    }
    parts = {name: tuple(raw[name]) for name in ("modes", "storms_s")}
    return Profile(**{**raw, **parts, "habits": Habits(**habits), "bounds": Bounds(**raw["bounds"])})
