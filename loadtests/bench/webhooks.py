"""From the commit of an order to the receivers of its webhooks, orders coming at a low rate.

The server, its Postgres, workers (`run.py work`) and receivers are processes of their own. Some receivers never answer.
For each event and each sound receiver it takes the time from the commit, as the order's history has it, to the receipt.
"""

from __future__ import annotations

import base64
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.setup import BenchSetup
from loadtests.kit.client import open_http
from loadtests.kit.fixtures import database_url
from loadtests.kit.report import Limit, LoadReport
from loadtests.kit.server import EMBEDDED, open_server
from loadtests.kit.stores import Connection, connect
from loadtests.kit.tool import add_options, make_parser, option, run_tool
from loadtests.kit.waiting import until
from loadtests.kit.webhook_receivers import open_receivers, read_receipts
from loadtests.kit.work_process import run_work
from storage.postgres.database import open_database

CUSTOMERS = 20
LIMIT_S = 120.0
P99_MS = 2_000.0
OPERATION = "commit to receipt"


@dataclass(frozen=True, slots=True)
class WebhookBenchOptions:
    """How much is measured."""

    rate: float = option(5.0, "orders a second; each is two events for each receiver")
    seconds: float = option(30.0, "how long")
    receivers: int = option(30, "receivers, each with an endpoint for all events")
    hanging: int = option(1, "receivers of them that never answer")
    workers: int = option(2, "workers")


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the receivers have got.

    Attributes:
        first_s: when each receiver got each message for the first time: by (receiver, id).
        repeats: requests of sound receivers beyond these.
        forged: requests without a valid signature.
    """

    first_s: Mapping[tuple[int, str], float]
    repeats: int
    forged: int


async def measure(options: WebhookBenchOptions) -> LoadReport:
    """Place the orders, wait until their events are delivered, and compare the times."""
    began = time.perf_counter()
    report = LoadReport("from a commit to its receivers")
    with tempfile.TemporaryDirectory(prefix="mall-webhooks-") as folder:
        committed, keys = await _run(Path(folder), options)
        sound = range(options.receivers - options.hanging)
        delivered = _delivered(Path(folder) / "receipts", keys, sound)
    for message, at_s in committed.items():
        for receiver in sound:
            got_s = delivered.first_s.get((receiver, message))
            if got_s is None:
                report.failed(OPERATION, "missing")
            else:
                report.done(OPERATION, max(0.0, got_s - at_s))
    times = [
        at_s for (receiver, id_), at_s in delivered.first_s.items() if receiver in sound and id_ in committed
    ]
    spread_s = max(times) - min(times) if times else 0.0
    report.facts |= {
        "events": len(committed),
        "sound receivers": len(sound),
        "deliveries_per_s": round(len(times) / spread_s) if spread_s else None,
        "repeats": delivered.repeats,
    }
    report.limits += [
        Limit("events placed", len(committed), at_least=1),
        Limit("missing deliveries", report.errors, 0),
        Limit("bad signatures", delivered.forged, 0),
        Limit("p99 from commit to receipt, ms", round(report.ms([OPERATION], 0.99), 1), P99_MS),
    ]
    report.took_s = time.perf_counter() - began
    return report


async def _run(folder: Path, options: WebhookBenchOptions) -> tuple[dict[str, float], list[str]]:
    """When each event was committed, by its id outside; and the secret of each receiver."""
    hooks = {
        "MALL_SECRETS_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "MALL_WEBHOOK_NETWORKS": "127.0.0.0/8",
    }
    environ = EMBEDDED | hooks | {"MALL_WORK": "off", "MALL_SAMPLE": "off"}
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(
            open_receivers(folder / "receipts", options.receivers, options.hanging)
        )
        server = await stack.enter_async_context(open_server(folder / "mall", environ))
        database = await stack.enter_async_context(open_database(database_url(server), size_max=2))
        setup = BenchSetup(server, await stack.enter_async_context(open_http(CUSTOMERS)), database, {})
        await setup.enroll_admin()
        made = [await setup.admin.do("POST", "/api/v2/webhooks", {"url": url}) for url in urls]
        for number in range(options.workers):
            await stack.enter_async_context(run_work(folder, setup.database_url, f"bench-{number}", hooks))
        orders = await setup.place_at_rate(options.rate, options.seconds, CUSTOMERS)
        async with connect(setup.database_url) as connection:
            await until(lambda: _is_delivered(connection, len(urls) - options.hanging), LIMIT_S)
            committed = await _committed(connection, orders)
    return committed, [one["secret"] for one in made]


async def _is_delivered(connection: Connection, sound: int) -> bool:
    """Whether so many endpoints have all that there is."""
    return bool(
        await connection.fetchval(
            "SELECT NOT EXISTS (SELECT FROM outbox) AND count(*) >= $1 FROM webhook_endpoints"
            " WHERE reached = (SELECT pos FROM event_log_end)",
            sound,
        )
    )


async def _committed(connection: Connection, orders: Sequence[int]) -> dict[str, float]:
    """When each event of these orders was committed, by the machine's clock."""
    rows = await connection.fetch(
        "SELECT l.pos, extract(epoch FROM h.at)::double precision FROM event_log l"
        " JOIN order_events h ON h.order_id = l.ref AND h.version = l.version"
        " WHERE l.topic = 'order' AND l.ref = ANY ($1)",
        orders,
    )
    return {f"evt_{row[0]}": row[1] for row in rows}


def _delivered(receipts: Path, keys: Sequence[str], sound: Sequence[int]) -> Delivered:
    first_s: dict[tuple[int, str], float] = {}
    repeats = forged = 0
    for one in read_receipts(receipts):
        forged += not one.is_signed(keys[one.receiver])
        if (one.receiver, one.id) in first_s:
            repeats += one.receiver in sound
        else:
            first_s[one.receiver, one.id] = one.at_s
    return Delivered(first_s, repeats, forged)


def main() -> int:
    """Read the command line, measure, report."""
    parser = make_parser("loadtests.bench.webhooks", __doc__)
    add_options(parser, WebhookBenchOptions)
    given = vars(parser.parse_args())
    json = given.pop("json")
    return run_tool(measure(WebhookBenchOptions(**given)), json=json)


if __name__ == "__main__":
    sys.exit(main())
