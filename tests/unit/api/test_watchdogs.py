"""An instance that does not see the revocations says so once, and lets nobody listen for long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from structlog.testing import capture_logs

from actors.clock import SystemRandomness
from api.auth.access_tokens import BLIND_S, PUSHED_BLIND_S, Tokens, load_signing_key, make_signing_key
from api.server.watchdogs import heed_sight
from api.subscriptions import close_codes
from tests.support.clocks import Hands


def test_lost_sight_is_told_once_and_so_is_its_return_and_sockets_are_closed_in_between() -> None:
    clock = Hands(1_700_000_000.0)
    closed: list[int] = []
    tokens = Tokens([load_signing_key(*make_signing_key())], clock, SystemRandomness())
    sockets: Any = SimpleNamespace(sessions={"fed_1": SimpleNamespace(close=closed.append)})
    services: Any = SimpleNamespace(clock=clock, tokens=tokens, hub=sockets)
    tokens.shut_out([], [])
    lost_at = None
    with capture_logs() as lines:
        assert heed_sight(services, None) is None
        clock.now += BLIND_S + 0.1
        for _ in range(3):
            lost_at = heed_sight(services, lost_at)
        assert closed == []
        clock.now += PUSHED_BLIND_S - BLIND_S
        lost_at = heed_sight(services, lost_at)
        assert closed == [close_codes.OVERLOADED]
        tokens.shut_out([], [])
        assert heed_sight(services, lost_at) is None
    assert [line["event"] for line in lines] == ["lost_sight_of_revocations", "sees_revocations"]
    assert lines[1]["duration_s"] == PUSHED_BLIND_S - BLIND_S
