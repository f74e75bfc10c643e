"""Receipts of webhooks: what is well signed, by signatures that an independent library has made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
from standardwebhooks.webhooks import Webhook

from loadtests.kit.webhook_receivers import Receipt, read_receipts

SECRET, OTHER = "whsec_" + "a2V5" * 8, "whsec_" + "c2V5" * 8
BODY = '{"type": "order.created", "note": "Café"}'
AT_S = 1_772_366_400


def receipt(secret: str = SECRET, *, first: str = "") -> Receipt:
    at = datetime.fromtimestamp(AT_S, UTC)
    signature = Webhook(secret).sign("evt_41", at, BODY)
    return Receipt(3, AT_S + 1.5, "evt_41", str(AT_S), f"{first} {signature}".strip(), BODY)


def test_one_of_its_signatures_must_fit() -> None:
    assert receipt().is_signed(SECRET)
    assert receipt(first="v1,AAAA").is_signed(SECRET)
    assert not receipt(OTHER).is_signed(SECRET)
    assert not replace(receipt(), signatures="").is_signed(SECRET)


def test_whatever_was_changed_is_not_signed() -> None:
    for changed in (
        replace(receipt(), body=BODY + " "),
        replace(receipt(), id="evt_42"),
        replace(receipt(), timestamp=str(AT_S + 1)),
        replace(receipt(), timestamp="noon"),
    ):
        assert not changed.is_signed(SECRET)


def test_request_that_was_signed_long_before_it_came_is_refused() -> None:
    assert not replace(receipt(), at_s=AT_S + 301.0).is_signed(SECRET)


def test_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "receipts"
    path.write_bytes(b"".join(orjson.dumps(receipt()) + b"\n" for _ in range(2)))
    assert [*read_receipts(path)] == [receipt(), receipt()]
