"""Sites: stores so near to each other that their orders may share a trip, such as the stores of a mall."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot

from dispatch.domain.planning.values import Spot


def sites_of(stores: Mapping[int, Spot], radius_m: float) -> dict[int, int]:
    """The site of each store. A site is called after its first store, the one with the lowest number.

    A store belongs to the first site whose first store is within `radius_m`, so no site is wider than twice that.
    """
    founders: list[tuple[int, Spot]] = []
    found: dict[int, int] = {}
    for store in sorted(stores):
        x_m, y_m = stores[store]
        for site, (at_x_m, at_y_m) in founders:
            if hypot(x_m - at_x_m, y_m - at_y_m) <= radius_m:
                found[store] = site
                break
        else:
            if radius_m > 0:
                founders.append((store, stores[store]))
            found[store] = store
    return found
