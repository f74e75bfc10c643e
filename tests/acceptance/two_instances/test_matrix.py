"""The matrix: every operation and every frame for each of ten callers, and no cell without its answer."""

from __future__ import annotations

import pytest

from api.feed.frames import FRAMES
from api.http.operation import Operation
from api.routes import OPERATIONS, ROUTES
from loadtests.kit.client import Phone
from tests.acceptance.two_instances.cluster import TwoInstances
from tests.acceptance.two_instances.matrix import CALLERS, CELLS, FRAME_CELLS, OWN_FRAMES, statuses
from tests.acceptance.two_instances.matrix_calls import SOCKETS, MatrixCalls, set_up


@pytest.fixture(scope="module")
async def matrix_calls(cluster: TwoInstances) -> MatrixCalls:
    """Calls as each caller of the access matrix."""
    return await set_up(cluster)


def test_every_operation_and_every_frame_has_its_cells() -> None:
    assert {route.operation for route in ROUTES} == set(CELLS)
    assert all(len(statuses(operation)) == len(CALLERS) for operation in CELLS)
    assert set(FRAME_CELLS) | OWN_FRAMES == set(FRAMES)


def test_cells_and_the_table_of_access_say_the_same() -> None:
    for operation in CELLS:
        nobody = {statuses(operation)[caller] for caller in ("expired", "foreign", "revoked")}
        needs_somebody = OPERATIONS[operation].scope is not None or operation in (*SOCKETS, "orders.shared")
        assert (nobody == {401}) == needs_somebody


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
async def test_each_caller_gets_what_its_cell_says(matrix_calls: MatrixCalls, route: Operation) -> None:
    assert {caller: await matrix_calls.ask(route, caller) for caller in CALLERS} == statuses(route.operation)


@pytest.mark.parametrize("frame", FRAME_CELLS)
async def test_each_driver_is_told_what_its_cell_says(matrix_calls: MatrixCalls, frame: str) -> None:
    said = []
    for caller in ("assigned", "offered", "stranger"):
        order = await matrix_calls.order(frame, caller)
        offer = frame.startswith("offer.")
        body: dict[str, object] = {"orders": [order]} if offer else {"order_id": order}
        if frame == "order.failure":
            body["reason"] = "no answer"
        phone = Phone(matrix_calls.as_(caller))
        async with phone.connected():
            answer = await phone.ask({"t": frame, "key": f"key-of-a-frame-{order}", **body})
        await matrix_calls.clear(order)
        if answer["t"] == "error":
            said.append(answer["code"])
        else:
            said.append(answer["results"][0]["result"] if offer else answer["result"])
    assert tuple(said) == FRAME_CELLS[frame]
