"""Why an order was offered to whom, told in sentences from its history. Pure.

Reasons of a plan are in the event that the plan has led to (zone_planning.py); a plan minimises the sum of the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from actors.values import frozen
from dispatch.domain.ids import DRIVER, public_id

MINUTE_S = 60.0
# Parts of the cost of a trip, as a plan's reasons name them, and what they are for.
PARTS = (
    ("door_s", "to the doors"),
    ("driving_s", "for driving"),
    ("late_s", "for broken promises"),
    ("position_s", "for where the driver is afterwards"),
)


@frozen
class ToldDecision:
    """An event of an order's history, told: its time, and sentences."""

    at: datetime
    sentences: tuple[str, ...]

    def line(self) -> str:
        """One line of text."""
        stamp = self.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"{stamp}  {' '.join(self.sentences)}"


class DecisionQueries(Protocol):
    """Named queries that read."""

    async def rows(self, name: str, *args: Any) -> list[Any]: ...


async def told_decisions(queries: DecisionQueries, order: int) -> list[ToldDecision]:
    """The story of an order; empty if there is no such order.

    Raises:
        StorageError: the database is away.
    """
    return tell(await queries.rows("order_story", order))


def tell(rows: Iterable[Mapping[str, Any]]) -> list[ToldDecision]:
    """The story of an order's search for a driver; `rows` of its history in order, as `order_story` reads them."""
    return [ToldDecision(row["at"], tuple(_sentences(row))) for row in rows]


def _sentences(row: Mapping[str, Any]) -> list[str]:
    data: Mapping[str, Any] = row["data"] or {}
    match row["type"]:
        case "offered":
            return _offered(data)
        case "assigned":
            return _assigned(row, data)
        case "declined":
            return [f"{row['actor_id']} declined{_because(row)}."]
        case "offer_expired":
            return [f"No answer to {_list(data.get('offers', ()))} in time."]
        case "offer_withdrawn":
            return [f"{_list(data.get('offers', ()))} taken back: the driver is {row['reason']}."]
        case "unclaimed" if row["reason"] == "ladder_ended":
            return ["Nobody is asked any more: the offer ladder is at its end. Operators are told."]
        case "mode_set" if data.get("mode") == "open":
            return ["On the board: all drivers of the zone see it."]
        case kind:
            return [f"{str(kind).replace('_', ' ').capitalize()} by {row['actor_role']}{_because(row)}."]


def _offered(data: Mapping[str, Any]) -> list[str]:
    drivers = [public_id(DRIVER, number) for number in data.get("drivers", ())]
    rung = _rung(data)
    if "plan" in data:
        return [f"{rung}Offered to {_list(drivers)}.", *_reasons(data["plan"])]
    away = [
        f"{driver} ({_away(metres)})"
        for driver, metres in zip(drivers, data.get("distances_m", ()), strict=False)
    ]
    again = ", who had an offer before" if data.get("again") else ""
    return [
        f"{rung}Wave {data.get('wave')}: offered to the nearest drivers, {_list(away or drivers)}{again}."
    ]


def _assigned(row: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    driver = data.get("driver_id")
    if "plan" in data:
        return [f"{_rung(data)}Assigned to {driver} by the zone.", *_reasons(data["plan"])]
    who = "accepted" if row["actor_role"] == "driver" else f"was given it by {row['actor_role']}"
    return [f"{driver} {who}."]


def _rung(data: Mapping[str, Any]) -> str:
    """Where the order stood on the zone's offer ladder."""
    rung = data.get("rung")
    return "" if rung is None else f"Rung {rung['number']} ({rung['mode']}). "


def _reasons(plan: Mapping[str, Any]) -> list[str]:
    chosen, orders = plan["chosen"], plan["orders"]
    found = []
    if len(orders) > 1:
        found.append(
            f"It is one trip with {len(orders)} orders, delivered in this sequence: {_list(orders)}."
        )
    found.append(f"Last pick-up at {_clock(chosen['pickup_ms'])}; the trip costs {_cost(chosen)}.")
    wait_s = (plan["latest_start_ms"] - plan["at_ms"]) / 1000
    if wait_s >= 1:
        found.append(f"The driver may set out {_minutes(wait_s)} later without delaying it.")
    for rank, other in enumerate(plan["next_best"]):
        more_s = _total(other) - _total(chosen)
        name = "Next best" if rank == 0 else "After that"
        compared = (
            f"{_minutes(more_s)} more" if more_s >= 0 else f"{_minutes(-more_s)} less, but needed elsewhere"
        )
        found.append(f"{name}: {other['driver_id']}, pick-up at {_clock(other['pickup_ms'])}, {compared}.")
    if not plan["next_best"]:
        found.append("No other driver could do it.")
    found.append(f"(Plan {plan['number']}, seed {plan['seed']}.)")
    return found


def _cost(candidate: Mapping[str, Any]) -> str:
    parts = [f"{_minutes(candidate[name])} {what}" for name, what in PARTS if candidate[name]]
    return f"{' + '.join(parts) or 'nothing'} = {_minutes(_total(candidate))}"


def _total(candidate: Mapping[str, Any]) -> float:
    return float(sum(candidate[name] for name, _ in PARTS))


def _because(row: Mapping[str, Any]) -> str:
    return f" ({row['reason']})" if row["reason"] else ""


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nobody"


def _away(metres: int) -> str:
    return "place unknown" if metres < 0 else f"{metres} m away"


def _minutes(seconds: float) -> str:
    return f"{seconds / MINUTE_S:.1f} min"


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S")
