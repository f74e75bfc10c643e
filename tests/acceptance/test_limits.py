"""Rate limits on the real server: the sixth login of a minute is refused, and probes never are."""

from __future__ import annotations

from pathlib import Path

from loadtests.client import Mall, open_http
from loadtests.server import open_server

WRONG = {"email": "customer@mall.example", "password": "not the password"}


async def test_sixth_login_of_a_minute_is_refused_with_a_time_to_come_back(folder: Path) -> None:
    async with open_server(folder / "limits", {"MALL_RATE_LIMITS": "on"}) as server, open_http() as http:
        mall = Mall(http, server.url)
        answers = [await mall.call("POST", "/api/v2/auth/login", WRONG) for _ in range(6)]
        assert [(status, body["code"]) for status, body, _ in answers] == [
            *[(401, "invalid_credentials")] * 5,
            (429, "rate_limited"),
        ]
        assert 0 < int(answers[-1][2]["Retry-After"]) <= 60
        for _ in range(120):
            async with http.get(server.url + "/health/liveness") as response:
                assert response.status == 200
