"""What a failed contract test prints, made from output as Schemathesis writes it."""

from __future__ import annotations

from tests.acceptance.contract_report import CASE_CHARS_MAX, failures_in, report

OUTPUT = """Schemathesis v4.32.5

 ❌  Coverage (in 4.79s)

=================================== FAILURES ===================================
___________________________ PATCH /api/v2/zones/{id} ___________________________
1. Test Case ID: jzzjNw

- ST901 Custom check failed: `traced_and_closed`

[403] Forbidden:

    `{"type":"/problems/forbidden"}`

Reproduce with:

    curl -X PATCH -H 'If-Match: "3"' -d '{"mode": "open"}' http://127.0.0.1:1/api/v2/zones/zon_1

2. Test Case ID: QAnGJ9

- ST202 Schema-valid request rejected

[400] Bad Request:

    `LONG`

Reproduce with:

    curl -X PATCH http://127.0.0.1:1/api/v2/zones/zon_2

______________________________ POST /api/v2/zones ______________________________
1. Test Case ID: xeTsBg

- ST101 Server error

=================================== SUMMARY ====================================

Test cases:
  520 generated, 3 found 3 unique failures

============================= 3 failures in 7.21s ==============================
"""


def test_each_failing_case_has_its_operation_and_its_request() -> None:
    first, second, third = failures_in(OUTPUT)
    assert first.operation == second.operation == "PATCH /api/v2/zones/{id}"
    assert first.request.startswith("curl -X PATCH -H 'If-Match: \"3\"'")
    assert first.request.endswith("/zones/zon_1")
    assert first.found.startswith("- ST901 Custom check failed: `traced_and_closed`")
    assert second.request.endswith("/zones/zon_2")
    assert (third.operation, third.request) == ("POST /api/v2/zones", "(no request is shown)")
    assert third.found == "- ST101 Server error"


def test_report_begins_with_the_operation_and_the_request_and_ends_with_the_summary() -> None:
    lines = report("driver", OUTPUT).splitlines()
    assert lines[0] == "as driver: PATCH /api/v2/zones/{id}"
    assert lines[1].strip().startswith("curl -X PATCH")
    assert lines[-1].strip("= ") == "3 failures in 7.21s"


def test_long_answer_is_cut_behind_the_request() -> None:
    _, second, _ = failures_in(OUTPUT.replace("LONG", "x" * 5000))
    assert len(str(second)) < CASE_CHARS_MAX + 10
    assert "curl -X PATCH http://127.0.0.1:1/api/v2/zones/zon_2" in str(second)


def test_output_without_cases_is_shown_as_it_is() -> None:
    assert failures_in("Traceback: no such document") == []
    assert "no such document" in report("admin", "Traceback: no such document")
