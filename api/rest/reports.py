"""Reports: figures of days, as JSON by pages or as CSV in one piece."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from aiohttp import web
from pydantic import BeforeValidator, Field, WithJsonSchema

from api.auth.permissions import READS
from api.contract.fields import DriverId, StoreId, ZoneId
from api.contract.problems import EVERY_ANSWER, Fault, Problem
from api.http.accept import prefers
from api.http.operation import Operation, Operations
from api.http.pagination import LIST_PROBLEMS, Page, list_page
from api.http.request import RequestContext
from api.json_schema import DAY
from api.rest import serializers
from api.rest.answers import CashReportAnswer, DailyReportAnswer
from dispatch.ports import LoadPage

operations = Operations(Operation)

DAYS_MAX = 92
DAYS_USUAL = 7
# Rows of a CSV. More are refused, because a table that is cut off looks whole.
CSV_ROWS_MAX = 20_000
CSV = "text/csv"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NOTE = (
    f"At most {DAYS_MAX} days; without `from` and `to` the last {DAYS_USUAL}. Days begin at midnight in the zone's "
    "time zone. With `Accept: text/csv` the answer is a table of all rows, without pages."
)


def _day_of(value: object) -> object:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError("must be a day such as 2026-03-01")


Day = Annotated[date, BeforeValidator(_day_of), WithJsonSchema(DAY)]


class ReportPage(Page):
    """Query of figures by day."""

    day_from: Day | None = Field(None, alias="from")
    day_to: Day | None = Field(None, alias="to")
    zone_id: ZoneId | None = None

    @property
    def order(self) -> str:
        """By day, the oldest first."""
        return "day"


class FiguresPage(ReportPage):
    """Query of the figures of zones and stores."""

    store_id: StoreId | None = None


class CashPage(ReportPage):
    """Query of what drivers delivered and collected."""

    driver_id: DriverId | None = None


def span(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """The days that a request asks for.

    Raises:
        Problem: `invalid`, naming `from` or `to`.
    """
    last = last or max(today, first or today)
    try:
        first = first or last - timedelta(days=DAYS_USUAL - 1)
    except OverflowError:
        first = date.min
    if first > last:
        raise _refused("from", "date_order", "must not be after `to`")
    if (last - first).days >= DAYS_MAX:
        raise _refused("to", "date_span", f"must be at most {DAYS_MAX - 1} days after `from`")
    return first, last


def _refused(name: str, code: str, detail: str) -> Problem:
    return Problem("invalid", faults=[Fault("query", name, code, detail)])


@operations.declare(
    "reports.daily",
    "GET",
    "/api/v2/reports/daily",
    scope="reports:read",
    limit=READS,
    summary="Orders, times and money of days",
    note="A row for each zone and day with orders; with `zone_id` also of each of its stores (`store_id` is null in "
    "the zone's row), with `store_id` of that store. An order counts on the day on which it was placed, also when it "
    "ends later; with several stores it counts at each, with what was ordered there, and its refunds and the driver's "
    "pay are in the zone's row only. Figures follow within a quarter of an hour. In the rows of zones that plan, "
    "`distance_saved_m` is what trips saved of `distance_alone_m`, the way of each order alone and back, and "
    "`distance_saved_bound_m` what no trips could have exceeded with everything known. They come some hours after the "
    "day, and are null until then. " + _NOTE,
    query=FiguresPage,
    answer=DailyReportAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def daily(context: RequestContext) -> web.StreamResponse:
    """Show the figures of zones or stores."""
    page = context.query(FiguresPage)
    return await _report(
        context, page, context.services.daily_reports.figures, serializers.daily_figures, _figures_lines
    )


@operations.declare(
    "reports.cash",
    "GET",
    "/api/v2/reports/daily/cash",
    scope="reports:read",
    limit=READS,
    summary="Deliveries, pay and cash of drivers by day",
    note="A row for each driver, zone, currency and day of delivery. `cash` is what the driver collected, `pay` what "
    "the driver earned. " + _NOTE,
    query=CashPage,
    answer=CashReportAnswer,
    problems=LIST_PROBLEMS,
    etag="compared",
)
async def cash(context: RequestContext) -> web.StreamResponse:
    """Show what drivers delivered and collected."""
    page = context.query(CashPage)
    return await _report(
        context, page, context.services.daily_reports.cash, serializers.daily_cash, _cash_lines
    )


Lines = Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]]]


async def _report(
    context: RequestContext, page: ReportPage, load: LoadPage, show: Callable[[Any], Any], lines: Lines
) -> web.Response:
    today = datetime.fromtimestamp(context.services.clock.wall(), UTC).date()
    first, last = span(page.day_from, page.day_to, today)
    page = page.model_copy(update={"day_from": first, "day_to": last})
    if not prefers(context.request.headers.get("Accept", ""), CSV):
        answer = await list_page(context, load, page, show)
        answer.headers["Vary"] = f"{answer.headers['Vary']}, Accept"
        return answer
    rows = await load(page.filters(), page.order, None, CSV_ROWS_MAX + 1)
    if len(rows) > CSV_ROWS_MAX:
        raise _refused("to", "too_many_rows", f"leads to more than {CSV_ROWS_MAX} rows; ask for fewer days")
    headers = {**EVERY_ANSWER, "Cache-Control": "private, no-store", "Vary": "Authorization, Accept"}
    text = table([line for row in rows for line in lines(show(row))], lines)
    return web.Response(text=text, content_type=CSV, charset="utf-8", headers=headers)


_FIGURES = (
    "day", "zone_id", "store_id", "orders", "delivered", "cancelled", "undeliverable", "delivery_mean_s",
    "delivery_p90_s", "cancelled_by_customer", "cancelled_by_admin", "cancelled_by_system", "currency",
    "revenue_minor", "refunded_minor", "driver_pay_minor", "distance_alone_m", "distance_saved_m",
    "distance_saved_bound_m",
)  # fmt: skip
_CASH = ("day", "zone_id", "driver_id", "currency", "deliveries", "pay_minor", "cash_minor")


def _figures_lines(shown: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """A line for each currency. Counts are in the first one alone, so that sums of columns are true."""
    subject = {name: shown[name] for name in ("day", "zone_id", "store_id")}
    by = {f"cancelled_by_{role}": many for role, many in shown["cancelled_by"].items()}
    counts = {name: value for name, value in (dict(shown) | by).items() if name in _FIGURES}
    for at, amounts in enumerate(shown["amounts"]):
        yield {**(subject if at else counts), **amounts}


def _cash_lines(shown: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    pay, collected = shown["pay"], shown["cash"]
    yield {
        **{name: shown[name] for name in ("day", "zone_id", "driver_id", "deliveries")},
        "currency": pay["currency"],
        "pay_minor": pay["amount_minor"],
        "cash_minor": collected["amount_minor"],
    }


_COLUMNS: Mapping[Lines, tuple[str, ...]] = {_figures_lines: _FIGURES, _cash_lines: _CASH}


def table(rows: Iterable[Mapping[str, Any]], lines: Lines) -> str:
    """CSV (RFC 4180) with a line of names; what is missing is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS[lines], restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
