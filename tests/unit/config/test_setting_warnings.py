"""What is allowed and seldom meant."""

from __future__ import annotations

import pytest

from config.findings import fault, ok, report, warning
from config.setting_warnings import doubts
from config.settings import load_settings

OUTSIDE = {"DATABASE_URL": "postgresql://mall@db/mall", "MALL_ADMIN_PASSWORD": "long enough"}
PAID = {**OUTSIDE, "MALL_GATEWAY_URL": "https://pay.example"}
FROM = {"MALL_MAIL_FROM": "mall@mall.example"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({"MALL_HOST": "0.0.0.0"}, ["passwords that everybody knows"]),
        ({"MALL_HOST": "0.0.0.0", "MALL_SAMPLE": "off"}, []),
        ({"MALL_HOST": "::1"}, []),
        (OUTSIDE, ["no payment gateway: orders by card are refused"]),
        ({**OUTSIDE, "MALL_GATEWAY_URL": "sandbox"}, ["no money moves"]),
        ({**OUTSIDE, "MALL_GATEWAY_URL": "http://127.0.0.1:9000"}, []),
        ({**OUTSIDE, "MALL_GATEWAY_URL": "http://pay.example"}, ["not encrypted"]),
        ({**OUTSIDE, "MALL_GATEWAY_URL": "https://pay.example"}, []),
        ({**PAID, "MALL_SMTP_URL": "sandbox"}, ["not sent"]),
        ({**PAID, "MALL_SMS_URL": "sandbox"}, ["not sent"]),
        ({**PAID, **FROM, "MALL_SMTP_URL": "smtp://mail.example?tls=none"}, ["not encrypted"]),
        ({**PAID, **FROM, "MALL_SMTP_URL": "smtp://localhost:25?tls=none"}, []),
        ({**PAID, **FROM, "MALL_SMTP_URL": "smtp://mail.example"}, []),
        ({"MALL_RATE_LIMITS": "off"}, ["nobody is limited"]),
        ({"MALL_FAST_PATH": "off"}, ["slow connections are ended late"]),
    ],
)
def test_doubtful_setting_is_told_with_what_to_do(environ: dict[str, str], expected: list[str]) -> None:
    found = doubts(load_settings(environ))
    assert len(found) == len(expected)
    for finding, words in zip(found, expected, strict=True):
        assert words in finding.text
        assert finding.remedy


def test_report_ends_with_one_only_when_something_is_in_the_way() -> None:
    text, code = report([ok("fine"), warning("odd", "look")])
    assert (code, text.splitlines()[-1]) == (0, "Nothing stands in the way of a start.")
    text, code = report([fault("broken", "mend:\nit"), fault("gone")])
    assert code == 1
    assert text.splitlines() == [
        "FAULT    broken",
        "         mend:",
        "         it",
        "FAULT    gone",
        "2 faults in the way of a start.",
    ]
