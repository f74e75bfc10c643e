"""The file that the runner hands to locust: the profile, and the accounts of its users. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from loadtests.rush.profiles import Profile, ProfileLimits
from loadtests.rush.think_times import ThinkTimes

# Locust finds the plan, and where to put its results, in these variables.
PLAN_VARIABLE, RESULTS_VARIABLE = "MALL_RUSH_PLAY", "MALL_RUSH_TAKE"


@dataclass(frozen=True, slots=True)
class Participant:
    """The account of a user: a token, and the zone."""

    token: str
    zone_id: str


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that locust must know; `owner` is the token of an administrator, who restocks."""

    url: str
    owner: str
    profile: Profile
    customers: tuple[Participant, ...]
    drivers: tuple[Participant, ...]
    products: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Readable by its owner alone: tokens are in it."""
        path.touch(mode=0o600)
        path.write_bytes(orjson.dumps(asdict(self)))


def read_plan(path: Path) -> RunPlan:
    """The plan as it was written."""
    raw = orjson.loads(path.read_bytes())
    return RunPlan(
        raw["url"],
        raw["owner"],
        _profile(raw["profile"]),
        tuple(Participant(**user) for user in raw["customers"]),
        tuple(Participant(**user) for user in raw["drivers"]),
        tuple(raw["products"]),
    )


def _profile(raw: dict[str, Any]) -> Profile:
    think_times: dict[str, Any] = {
        name: tuple(x) if isinstance(x, list) else x for name, x in raw["think_times"].items()
    }
    tuples = {name: tuple(raw[name]) for name in ("modes", "storms_s")}
    return Profile(
        **{
            **raw,
            **tuples,
            "think_times": ThinkTimes(**think_times),
            "bounds": ProfileLimits(**raw["bounds"]),
        }
    )
