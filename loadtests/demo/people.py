"""Names of the demo's people, and the outline of its town: what is looked at should be readable."""

from __future__ import annotations

from math import cos, pi, sin

from loadtests.demo.world import TOWN_M, Spot, place_of

FIRST = (
    "Ada", "Bilal", "Carla", "Deniz", "Emil", "Fatma", "Gustav", "Hana", "Ivo", "Jana", "Kofi", "Lena", "Milo", "Nadia",
    "Omar", "Pia", "Quirin", "Rosa", "Sami", "Tova", "Uwe", "Vera", "Wim", "Xenia", "Yara", "Zoe",
)  # fmt: skip
LAST = (
    "Adler",
    "Baum",
    "Cruz",
    "Demir",
    "Engel",
    "Fuchs",
    "Gross",
    "Horn",
    "Ilic",
    "Jung",
    "Koch",
    "Lang",
    "Marx",
)
ZONE = "Demo Mall"
CORNERS = 16


def name_of(place: int) -> str:
    """The name of somebody by the place in the plan's list: the first hundreds have one of their own."""
    return f"{FIRST[place % len(FIRST)]} {LAST[(place // 2 + place) % len(LAST)]}"


def outline() -> list[dict[str, float]]:
    """A border around the town, not quite round. Every place of the plan is inside."""
    corners = []
    for number in range(CORNERS):
        angle = 2 * pi * number / CORNERS
        reach_m = TOWN_M * (1.56 + 0.09 * sin(3 * angle + 0.7))
        corners.append(place_of(Spot(reach_m * cos(angle), reach_m * sin(angle))))
    return corners
