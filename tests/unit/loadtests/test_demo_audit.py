"""The demo's audit: it passes on what agrees, and fails on every kind of bad history."""

from __future__ import annotations

from typing import Any

from loadtests.demo.audit import AuditFindings
from loadtests.demo.audit_reads import conclude
from loadtests.demo.driver import DemoDriver
from loadtests.demo.flaky_phone import FlakyPhone
from loadtests.demo.ledger import Note, OrderLedger
from loadtests.demo.plan import make_plan
from loadtests.demo.run_clock import RunClock
from loadtests.kit.client import Mall
from loadtests.kit.phone_connection import PhoneConnection
from loadtests.kit.report import LoadReport
from loadtests.replay.record import Won


def assigned(driver: str, version: int) -> dict[str, Any]:
    return {"type": "assigned", "version": version, "data": {"driver_id": driver}, "by": {"id": driver}}


def delivered(driver: str, version: int = 5) -> dict[str, Any]:
    return {"type": "delivered", "version": version, "data": {}, "by": {"id": driver}}


def note_of(
    state: str = "delivered", *, told: tuple[Won, ...] = (Won("drv_1", 3),), by: str = "drv_1"
) -> Note:
    return Note(state=state, customer=0, told=set(told), carriers={by} if by else set())


def shown(status: str = "delivered", driver: str | None = "drv_1") -> dict[str, Any]:
    return {"status": status, "driver_id": driver}


def examined(note: Note, order: dict[str, Any] | None, history: list[dict[str, Any]]) -> AuditFindings:
    findings = AuditFindings()
    findings.examine("ord_1", note, order, history)
    return findings


def test_order_that_was_won_and_delivered_once_is_in_order() -> None:
    assert examined(note_of(), shown(), [assigned("drv_1", 3), delivered("drv_1")]).all == []


def test_order_that_was_cancelled_is_in_order() -> None:
    assert examined(note_of("cancelled", told=(), by=""), shown("cancelled", None), []).all == []


def test_two_assignments_without_a_release_are_found() -> None:
    history = [assigned("drv_1", 3), assigned("drv_2", 4)]
    found = examined(note_of("assigned", by=""), shown("assigned", "drv_2"), history)
    assert found.doubled == ["ord_1 assigned to drv_2 while drv_1 had it"]


def test_two_drivers_who_were_told_that_they_won_are_found() -> None:
    note = note_of(told=(Won("drv_1", 3), Won("drv_2", 4)))
    found = examined(note, shown(), [assigned("drv_1", 3), delivered("drv_1")])
    assert found.doubled == ["ord_1 drv_2 was told so at version 4"]


def test_acknowledged_order_that_is_not_there_is_lost() -> None:
    assert examined(note_of("waiting", told=(), by=""), None, []).lost == [
        "ord_1 was acknowledged and is not there"
    ]


def test_delivery_that_the_server_has_forgotten_is_lost() -> None:
    found = examined(note_of(), shown("picked_up"), [assigned("drv_1", 3)])
    assert found.lost == ["ord_1 was delivered and is picked_up"]


def test_status_that_no_order_may_have_is_found() -> None:
    found = examined(note_of("waiting", told=(), by=""), shown("vanished", None), [])
    assert found.lost == ["ord_1 has no legal status: vanished"]


def test_delivery_by_somebody_who_did_not_win_is_found() -> None:
    history = [assigned("drv_1", 3), delivered("drv_2")]
    assert "ord_1 was delivered by drv_2, won by drv_1" in examined(note_of(), shown(), history).misdelivered
    found = examined(note_of(by="drv_2"), shown(), [assigned("drv_1", 3), delivered("drv_1")])
    assert found.misdelivered == ["ord_1 drv_2 was told it delivered; drv_1 won"]


def test_delivery_that_no_driver_knows_of_is_found() -> None:
    found = examined(note_of(by=""), shown(), [assigned("drv_1", 3), delivered("drv_1")])
    assert found.misdelivered == ["ord_1 was delivered, and no driver knows of it"]


def concluded(
    findings: AuditFindings, *, gap: bool = False, behind: int = 0, error: bool = False
) -> LoadReport:
    """A report about one driver whose feed had a gap, or not."""
    ledger = OrderLedger(LoadReport("test"))
    person = make_plan(1, 1, 60).drivers[0]
    phone = FlakyPhone(Mall(None, ""))  # type: ignore[arg-type]
    driver = DemoDriver(
        "drv_1", person, PhoneConnection(phone, "test", ledger.counts), phone, ledger, RunClock()
    )
    phone.position.welcome({"t": "welcome", "epoch": "e", "seq": 0, "resumed": False})
    phone.position.entry(2 if gap else 1)
    if error:
        ledger.fail("order.pickup", "no answer")
    conclude(ledger, [driver], findings, behind)
    return ledger.report


def test_verdict_is_good_when_nothing_was_found() -> None:
    assert concluded(AuditFindings()).passed


def test_verdict_is_bad_for_every_single_fault() -> None:
    assert not concluded(AuditFindings(doubled=["x"])).passed
    assert not concluded(AuditFindings(lost=["x"])).passed
    assert not concluded(AuditFindings(misdelivered=["x"])).passed
    assert not concluded(AuditFindings(), gap=True).passed
    assert not concluded(AuditFindings(), behind=1).passed
    assert not concluded(AuditFindings(), error=True).passed


def test_findings_are_shown_as_sentences() -> None:
    assert concluded(AuditFindings(lost=["ord_1 is not there"])).facts["findings"] == ["ord_1 is not there"]
