"""Templates of notices: templates/<locale>/<type>.{subject,txt,html,sms}, rendered by jinja2, money and times by Babel.

A value that a template names and nobody gave is an error (StrictUndefined); HTML is escaped. Filters:

    money   {"amount_minor": 450, "currency": "EUR"} as EUR 4.50, or as the language writes it
    clock   milliseconds as a time of the day in the recipient's time zone
    day     milliseconds as a date
    moment  milliseconds as date and time
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_time
from babel.numbers import format_currency, get_currency_precision
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context

from dispatch.notices.decisions import zone_of
from dispatch.notices.kinds import MAIL, Channel
from dispatch.notices.ports import Letter
from dispatch.notices.recipients import Recipient

TEMPLATES = Path(__file__).parent / "templates"
LOCALES = ("en", "de")
# Babel's rules for these languages: European dates, 24 hours.
_BABEL = {"en": "en_GB", "de": "de_DE"}
_FALLBACK = LOCALES[0]
# Three parts of an SMS; a longer text is cut.
SMS_LENGTH_MAX = 459
SUBJECT_LENGTH_MAX = 200
_GAPS = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


def _locale_of(context: Context) -> str:
    return _BABEL[context["lang"]]


def _local(context: Context, ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone_of(context["time_zone"]))


@pass_context
def _money(context: Context, amount: Mapping[str, Any]) -> str:
    currency = amount["currency"]
    value = Decimal(amount["amount_minor"]).scaleb(-get_currency_precision(currency))
    return format_currency(value, currency, locale=_locale_of(context))


@pass_context
def _clock(context: Context, ms: int) -> str:
    return format_time(_local(context, ms), "short", locale=_locale_of(context))


@pass_context
def _day(context: Context, ms: int) -> str:
    return format_date(_local(context, ms), "long", locale=_locale_of(context))


@pass_context
def _moment(context: Context, ms: int) -> str:
    return f"{_day(context, ms)}, {_clock(context, ms)}"


class Templates:
    """Implements dispatch.notices.ports.Letters with the files of this folder."""

    def __init__(self, folder: Path = TEMPLATES) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            autoescape=select_autoescape(("html",), default=False),
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.filters |= {"money": _money, "clock": _clock, "day": _day, "moment": _moment}

    def render(self, type_: str, channel: Channel, recipient: Recipient, values: Mapping[str, Any]) -> Letter:
        """Render a notice; see dispatch.notices.ports.Letters."""
        locale = recipient.locale if recipient.locale in LOCALES else _FALLBACK
        given = {"lang": locale, "time_zone": recipient.time_zone, "name": recipient.name, **values}

        def text(ending: str) -> str:
            return self._environment.get_template(f"{locale}/{type_}.{ending}").render(given)

        if channel == MAIL:
            return Letter(_tidy(text("txt")), _line(text("subject"), SUBJECT_LENGTH_MAX), text("html"))
        return Letter(_line(text("sms"), SMS_LENGTH_MAX))


def _tidy(text: str) -> str:
    """The text without gaps of several lines, which absent paragraphs leave."""
    return _GAPS.sub("\n\n", text).strip() + "\n"


def _line(text: str, length_max: int) -> str:
    """The text as one line, cut where it is too long. A name may not begin a header of its own."""
    line = " ".join(text.split())
    return line if len(line) <= length_max else f"{line[: length_max - 1]}…"
