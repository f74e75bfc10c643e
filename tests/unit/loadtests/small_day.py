"""A day small enough to be known by heart, as the four files of a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

# 100 metres a minute, 4 minutes of service at each end, 40 minutes promised.
PARAMETERS = (
    "meters_per_minute\tpickup service minutes\tdropoff service minutes\ttarget click-to-door\t"
    "maximum click-to-door\tpay per order\tguaranteed pay per hour",
    "100\t4\t4\t40\t90\t10\t15",
)
# Two orders of two restaurants, two couriers.
FILES: Mapping[str, Sequence[str]] = {
    "instance_parameters": PARAMETERS,
    "restaurants": ("restaurant\tx\ty", "r1\t0\t0", "r2\t1000\t0"),
    "orders": (
        "order\tx\ty\tplacement_time\trestaurant\tready_time",
        "o1\t0\t500\t10\tr1\t20",
        "o2\t1000\t550\t12\tr2\t15",
    ),
    "couriers": ("courier\tx\ty\ton_time\toff_time", "c1\t0\t250\t0\t60", "c2\t990\t0\t5\t120"),
}


def write_day(folder: Path, changed: Mapping[str, Sequence[str]] | None = None) -> Path:
    """Write the day, with other lines in some of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in {**FILES, **(changed or {})}.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def busy_day(orders: int) -> dict[str, Sequence[str]]:
    """An order every minute, and five couriers near by until all is done."""
    places = [
        f"o{n}\t{300 * (n % 4)}\t{200 * (n % 3)}\t{2 + n}\tr{1 + n % 2}\t{4 + 2 * n}" for n in range(orders)
    ]
    return {
        "orders": (FILES["orders"][0], *places),
        "couriers": (FILES["couriers"][0], *(f"c{n}\t{250 * n}\t100\t0\t400" for n in range(5))),
    }
