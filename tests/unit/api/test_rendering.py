"""Every template of every language is rendered with the values that the tasks give."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from api.outbound.rendering import LOCALES, SMS_LENGTH_MAX, TEMPLATES, Templates
from dispatch.notices.kinds import KINDS, MAIL, SMS, NoticeKind
from tests.support.letters import BERND, NOON_MS, ORDER_ROW, ZOE, values_of

LETTERS = Templates()
PARTS = {MAIL: ("subject", "txt", "html"), SMS: ("sms",)}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.type)
def test_every_notice_can_be_written_in_every_language(kind: NoticeKind, locale: str) -> None:
    recipient = replace(ZOE, locale=locale)
    for channel in kind.channels:
        letter = LETTERS.render(kind.type, channel, recipient, values_of(kind.type))
        assert len(letter.text) > 20
        assert "None" not in letter.text + letter.html
        assert "Undefined" not in letter.text + letter.html
        assert not re.search(r"\{[{%]|[%}]\}", letter.text + letter.subject + letter.html)
        if channel == MAIL:
            assert 5 < len(letter.subject) < 120
            assert f'<html lang="{locale}">' in letter.html
            assert "\n\n\n" not in letter.text
            assert "<script" not in letter.html
            assert "<table" not in letter.html
        else:
            assert len(letter.text) <= SMS_LENGTH_MAX
            assert "\n" not in letter.text


def test_every_file_belongs_to_a_notice_and_a_channel() -> None:
    wanted = {
        f"{locale}/{kind.type}.{ending}"
        for locale in LOCALES
        for kind in KINDS.values()
        for channel in kind.channels
        for ending in PARTS[channel]
    }
    there = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.*")}
    assert there - wanted == {"layout.html", "parts.html"}
    assert wanted - there == set()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.type)
def test_languages_name_the_same_values(kind: NoticeKind) -> None:
    for channel in kind.channels:
        for ending in PARTS[channel]:
            texts = [(TEMPLATES / locale / f"{kind.type}.{ending}").read_text() for locale in LOCALES]
            named = [set(re.findall(r"\{\{ ([\w.\[\]']+)", text)) for text in texts]
            assert named[0] == named[1], ending


def test_money_and_times_are_written_as_the_reader_writes_them() -> None:
    german = LETTERS.render("delivered", MAIL, BERND, values_of("delivered")).text
    assert "1.234,50\u00a0€" in german
    assert "1. März 2026, 13:01" in german
    english = LETTERS.render("delivered", MAIL, replace(ZOE, time_zone="UTC"), values_of("delivered")).text
    assert "€1,234.50" in english
    assert "1 March 2026, 12:01" in english


def test_confirmation_says_when_the_order_is_expected_if_it_was_promised() -> None:
    utc = replace(ZOE, time_zone="UTC")
    letter = LETTERS.render("confirmed", MAIL, utc, values_of("confirmed"))
    for text in (letter.text, letter.html):
        assert "It is expected between 12:22 and 12:34." in text
    before = LETTERS.render(
        "confirmed", MAIL, utc, values_of("confirmed", expected_ms=None, promised_ms=None)
    )
    assert "expected" not in before.text + before.html
    assert "\n\n\n" not in before.text


def test_customer_reads_the_day_of_an_order_for_a_time_and_the_pin() -> None:
    utc = replace(ZOE, time_zone="UTC")
    terms = {"deliver_ms": NOON_MS, "pin": "0417"}
    letter = LETTERS.render("confirmed", MAIL, utc, values_of("confirmed", terms=terms))
    for text in (letter.text, letter.html):
        assert "It is expected on 1 March 2026 between 12:22 and 12:34." in text
        assert "0417" in text
    plain = LETTERS.render("picked_up", MAIL, utc, values_of("picked_up", terms=None))
    assert "PIN" not in plain.text + plain.html


def test_currency_has_as_many_digits_as_it_has() -> None:
    yen = values_of("delivered", currency="JPY", total_minor=1500)
    assert "JP¥1,500\n" in LETTERS.render("delivered", MAIL, ZOE, yen).text


def test_what_a_stranger_writes_is_text_in_html() -> None:
    values = values_of("confirmed", address='<img src="x"> & co')
    letter = LETTERS.render("confirmed", MAIL, replace(ZOE, name="<b>Zoë</b>"), values)
    assert "&lt;b&gt;Zoë" in letter.html
    assert "<img" not in letter.html
    assert '<img src="x"> & co' in letter.text
    assert "Zimtschnecke &lt;frisch&gt;" in letter.html


def test_name_with_line_breaks_makes_no_header() -> None:
    values = values_of("assigned", driver="Max\r\nBcc: all@mall.example")
    letter = LETTERS.render("assigned", MAIL, ZOE, values)
    assert letter.subject == "Max Bcc: all@mall.example brings your order ord_17"


def test_long_sms_is_cut() -> None:
    many = [[n, "A product with a rather long name", 1, 5] for n in range(40)]
    values = values_of("store_new_order") | {
        "pickup": {"number": 1, "ready_ms": 1, "items": [{"name": i[1], "quantity": 1} for i in many]}
    }
    text = LETTERS.render("store_new_order", SMS, ZOE, values).text
    assert len(text) == SMS_LENGTH_MAX
    assert text.endswith("…")


def test_value_that_nobody_gave_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        LETTERS.render("stock_low", MAIL, ZOE, {"mall": "M", "store": "S", "stock": 1})


def test_unknown_language_and_zone_fall_back() -> None:
    stranger = replace(ZOE, locale="fr", time_zone="Nowhere/Else")
    assert "12:01" in LETTERS.render("delivered", MAIL, stranger, values_of("delivered")).text


def test_time_of_arrival_is_told_where_there_is_one() -> None:
    with_eta = LETTERS.render("assigned", SMS, BERND, values_of("assigned")).text
    without = LETTERS.render("assigned", SMS, BERND, values_of("assigned", event_data=None)).text
    assert "Ankunft etwa 13:30 Uhr" in with_eta
    assert "Ankunft" not in without
    mail = LETTERS.render("assigned", MAIL, BERND, values_of("assigned", event_data=None)).text
    assert "etwa um 13:10 Uhr fertig" in mail


def test_without_a_site_there_are_no_links() -> None:
    values = values_of("confirmed") | {"order_url": None}
    letter = LETTERS.render("confirmed", MAIL, ZOE, values)
    assert "http" not in letter.text + letter.html
    reset = values_of("password_reset") | {"reset_url": None}
    assert "rst_5f5f" in LETTERS.render("password_reset", MAIL, ZOE, reset).html


def test_store_reads_its_own_part_of_an_order() -> None:
    text = LETTERS.render("store_new_order", MAIL, BERND, values_of("store_new_order")).text
    assert "3 x Zimtschnecke" in text
    assert "Roggenbrot" not in text
    assert "Nr. 9" in text


def test_folder_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Templates().render("delivered", MAIL, ZOE, values_of("delivered")).subject


def test_price_of_a_line_is_that_of_all_its_pieces() -> None:
    assert ORDER_ROW["items"][1][2:] == [3, 280]
    assert (
        "3 x Zimtschnecke <frisch>: €8.40"
        in LETTERS.render("confirmed", MAIL, ZOE, values_of("confirmed")).text
    )
