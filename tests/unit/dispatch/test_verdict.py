"""What the holder of a session does with a frame of its driver's actor."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.feed_frames import verdict


def _event(seq: int) -> dict[str, Any]:
    return {"t": "event", "seq": seq}


def _welcome(seq: int, *, resumed: bool) -> dict[str, Any]:
    return {"t": "welcome", "seq": seq, "resumed": resumed}


@pytest.mark.parametrize(
    ("position", "frame", "expected"),
    [
        (None, _welcome(7, resumed=True), "send"),
        (None, _welcome(7, resumed=False), "send"),
        (None, _event(8), "drop"),
        (7, _event(8), "send"),
        (7, _event(7), "drop"),
        (7, _event(3), "drop"),
        (7, _event(9), "gap"),
        (7, _welcome(7, resumed=True), "drop"),
        (9, _welcome(7, resumed=True), "drop"),
        (7, _welcome(7, resumed=False), "end"),
        (7, _welcome(8, resumed=True), "end"),
        (None, {"t": "offer.revoked"}, "send"),
        (7, {"t": "state"}, "send"),
    ],
)
def test_frame_is_sent_once_and_in_order(position: int | None, frame: dict[str, Any], expected: str) -> None:
    assert verdict(position, frame) == expected
