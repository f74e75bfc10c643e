"""Everything that can go wrong has a row, and every row becomes a proper answer."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import errors as runtime_errors
from api.contract.problem_advice import REMEDIES
from api.contract.problems import CODES, KINDS, Fault, Problem, problem_for, problem_response
from api.rest.order_commands import refusal
from dispatch import errors as service_errors
from dispatch.domain import refusals
from dispatch.messages import Reply
from storage import errors as storage_errors

ROOT = Path(__file__).resolve().parents[3]
TRACE = "0123456789abcdef0123456789abcdef"


def leaves(root: type[Exception]) -> Iterator[type[Exception]]:
    """Classes that have no subclass in the house."""
    children = [c for c in root.__subclasses__() if c.__module__ in (root.__module__, "actors.errors")]
    if not children:
        yield root
    for child in children:
        yield from leaves(child)


# A JournalError never leaves the runtime; all others may reach the edge.
RAISED = [
    *leaves(runtime_errors.ActorError),
    *leaves(storage_errors.StorageError),
    *leaves(service_errors.ServiceError),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: error.__name__)
def test_every_error_of_the_rooms_below_has_a_row(error: type[Exception]) -> None:
    rows = [code for kind, code in CODES if issubclass(error, kind)]
    assert rows
    assert rows[0] in KINDS


ANSWERS = {
    "overloaded": (runtime_errors.Overloaded(), 503, True),
    "deadline passed": (runtime_errors.DeadlinePassed(), 503, True),
    "unavailable": (runtime_errors.Unavailable(), 503, True),
    "no such actor": (runtime_errors.NoSuchActor(), 404, False),
    "command reused": (runtime_errors.CommandReused(), 422, False),
    "outcome unknown": (runtime_errors.OutcomeUnknown(), 504, True),
    "actor crashed": (runtime_errors.ActorCrashed(), 500, True),
    "unreachable": (storage_errors.Unreachable(), 504, True),
    "certainly not done": (storage_errors.NotDone(), 503, True),
    "duplicate nobody asked for": (storage_errors.Duplicate("users_email"), 500, True),
    "missing reference nobody asked for": (storage_errors.MissingReference("x"), 500, True),
    "anything else": (RuntimeError("SELECT secret FROM keys -- at mall/api/edge.py"), 500, True),
}


@pytest.mark.parametrize(("error", "status", "retryable"), ANSWERS.values(), ids=ANSWERS)
def test_an_error_becomes_its_status_and_nothing_of_it_is_shown(
    error: Exception, status: int, retryable: bool
) -> None:
    problem = problem_for(error)
    assert (problem.kind.status, problem.kind.retryable) == (status, retryable)
    assert not str(error) or str(error) not in json.dumps(problem.as_json(TRACE))


def test_what_certainly_had_no_effect_says_so_and_only_that() -> None:
    told = {code for code in KINDS if Problem(code).as_json(TRACE).get("not_processed")}
    assert told == {code for code, kind in KINDS.items() if kind.status == 503}


REFUSALS = [value for name, value in vars(refusals).items() if name.isupper()]


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_of_the_domain_becomes_a_problem(code: str) -> None:
    problem = refusal(Reply(code, "confirmed", 3))
    assert problem.kind.status in (404, 409, 410, 412)
    if code == refusals.NOT_YOURS:
        assert (problem.code, problem.extra) == ("order_not_found", {}), "it tells nothing"
    else:
        assert (problem.code, problem.extra["order_status"]) == (code, "confirmed")


def test_every_answer_of_the_placing_function_but_created_has_a_row() -> None:
    text = (ROOT / "storage/postgres/migrations/sql/0002_functions.sql").read_text()
    listed = re.search(r"Codes: created, ([a-z_,\s-]+)\.", text)
    assert listed is not None
    codes = set(re.findall("[a-z_]+", listed[1])) - {"replayed", "in_flight"}
    assert len(codes) >= 6
    assert codes <= KINDS.keys()


def _literals() -> Iterator[tuple[str, str]]:
    """(file, code) of every `Problem("code", …)` in this room."""
    for path in sorted((ROOT / "api").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                for argument in node.args[:1]:
                    if isinstance(argument, ast.Constant):
                        yield path.name, str(argument.value)


def test_no_handler_raises_a_code_without_a_row() -> None:
    raised = set(_literals())
    assert len(raised) > 30
    assert {(name, code) for name, code in raised if code not in KINDS} == set()


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_has_the_members_that_rfc_9457_and_we_require(code: str) -> None:
    kind = KINDS[code]
    response = problem_response(Problem(code, "It is so.", order_status="confirmed"), TRACE)
    body = json.loads(bytes(response.body))  # type: ignore[arg-type]
    assert response.status == body["status"] == kind.status
    assert response.content_type == "application/problem+json"
    assert body["type"] == f"/problems/{code}"
    assert (body["code"], body["title"], body["retryable"]) == (code, kind.title, kind.retryable)
    assert (body["trace_id"], body["detail"], body["order_status"]) == (TRACE, "It is so.", "confirmed")
    assert response.headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in response.headers) == (kind.status in (429, 503) or code == "request_in_flight")
    assert ("WWW-Authenticate" in response.headers) == (kind.status == 401)


def test_titles_are_unique_and_statuses_are_errors() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
    assert all(400 <= kind.status < 600 for kind in KINDS.values())
    assert {code for code, kind in KINDS.items() if kind.log == "error"} == {"internal"}


def test_without_faults_their_member_is_left_out() -> None:
    assert Problem("forbidden").as_json(TRACE).keys() == {
        "type", "title", "status", "code", "trace_id", "retryable", "detail",
    }  # fmt: skip


def test_every_problem_says_what_to_do_and_no_remedy_is_of_none() -> None:
    assert REMEDIES.keys() == KINDS.keys()
    for code, kind in KINDS.items():
        detail = Problem(code).as_json(TRACE)["detail"]
        assert detail == REMEDIES[code]
        assert detail.endswith("."), code
        assert len(detail) > 20, code
        assert detail != kind.title


def _details() -> Iterator[tuple[str, str]]:
    """(file, detail) of every `Fault(…, "detail")` in this room."""
    for path in sorted((ROOT / "api").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fault" and len(node.args) == 4:
                for part in ast.walk(node.args[3]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield path.name, part.value


def test_no_fault_of_a_field_sends_its_reader_elsewhere() -> None:
    told = list(_details())
    assert len(told) > 10
    assert [
        (name, detail) for name, detail in told if "see code" in detail or detail in ("not known", "unknown")
    ] == []


def test_at_most_fifty_faults_are_shown() -> None:
    fault = Fault("body", "#/x", "missing", "Field required")
    body = Problem("invalid", faults=[fault] * 99).as_json(TRACE)
    assert body["errors"] == [
        {"location": "body", "pointer": "#/x", "code": "missing", "detail": "Field required"}
    ] * 50  # fmt: skip


def test_an_unknown_code_is_a_mistake_at_once() -> None:
    with pytest.raises(KeyError):
        Problem("no_such_code")
