"""Sandbox payment provider for tests and trials. No money moves.

    tok_success        the money is held
    tok_decline        declined: card_declined
    tok_insufficient   declined: insufficient_funds
    tok_slow           held, but the answer takes SLOW_S
        tok_unknown        held, and the connection ends before the answer; a repetition is answered
    tok_refused        refused for good: invalid_token
    tok_expired        held, but the capture is refused for good: hold_expired

Within the server it stores nothing. As a service (`python -m api.payments.sandbox --port 9090 --ledger FILE`) it
stores a ledger that survives a crash, and shows it, so that a test can count the charges.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from dispatch.domain.money import Money
from dispatch.payments import Declined, GatewayRefused, GatewayUnsure, Held

SLOW_S = 3.0
REFUSED, EXPIRED = "invalid_token", "hold_expired"
DECLINES = {"tok_decline": "card_declined", "tok_insufficient": "insufficient_funds"}
_DONE = {"capture": "captured", "void": "voided", "refund": "refunded"}
# States of a hold in which a step is allowed.
_BEFORE = {"capture": ("held",), "void": ("held",), "refund": ("captured", "refunded")}


def _ref(key: str, token: str) -> str:
    kind = "exp" if token == "tok_expired" else "hld"  # noqa: S105 - a test token
    return f"{kind}_{sha256(key.encode()).hexdigest()[:24]}"


class Sandbox:
    """Implements dispatch.payments.Gateway without a service: the token decides every outcome."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    async def hold(self, key: str, amount: Money, token: str, *, trace: str = "") -> Held | Declined:
        del amount, trace
        if token in DECLINES:
            return Declined(DECLINES[token])
        if token == "tok_refused":  # noqa: S105 - a test token
            raise GatewayRefused(REFUSED)
        if token == "tok_slow":  # noqa: S105 - a test token
            await asyncio.sleep(SLOW_S)
        if token == "tok_unknown" and key not in self._asked:  # noqa: S105 - a test token
            if len(self._asked) < 1_000:
                self._asked.add(key)
            raise GatewayUnsure("as the token says")
        return Held(_ref(key, token))

    async def cancel(self, key: str, *, trace: str = "") -> None:
        del key, trace

    async def capture(self, key: str, ref: str, amount: Money | None = None, *, trace: str = "") -> None:
        del key, amount, trace
        if ref.startswith("exp_"):
            raise GatewayRefused(EXPIRED)

    async def void(self, key: str, ref: str, *, trace: str = "") -> None:
        del key, ref, trace

    async def refund(self, key: str, ref: str, amount: Money, *, trace: str = "") -> None:
        del key, ref, amount, trace


class Ledger:
    """Ledger of holds, captures and refunds; a line per effect in a file, so that kill -9 loses nothing."""

    def __init__(self, path: Path | None) -> None:
        self.holds: dict[str, dict[str, Any]] = {}
        self.effects: list[dict[str, Any]] = []
        self._answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self._file = None
        if path is not None:
            for line in path.read_bytes().splitlines() if path.exists() else ():
                self._learn(orjson.loads(line))
            self._file = path.open("ab", buffering=0)

    def _learn(self, entry: dict[str, Any]) -> None:
        self._answers[entry["key"]] = (entry["status"], entry["answer"])
        if entry["status"] < 400:
            self.effects.append(entry)
            hold = self.holds.setdefault(entry["ref"], {})
            said = dict(entry.get("hold", {}))
            hold["refunded_minor"] = hold.get("refunded_minor", 0) + said.pop("refund_minor", 0)
            hold.update(said, status=entry["answer"]["status"])

    def known(self, key: str) -> tuple[int, dict[str, Any]] | None:
        """The stored answer for this key."""
        return self._answers.get(key)

    def write(self, key: str, status: int, answer: dict[str, Any], ref: str = "", **hold: Any) -> None:
        """Store an effect and its answer, once for each key."""
        entry = {"key": key, "status": status, "answer": answer, "ref": ref, "hold": hold}
        if self._file is not None:
            self._file.write(orjson.dumps(entry) + b"\n")
        self._learn(entry)


def _given_back(step: str, body: dict[str, Any], left_minor: int) -> dict[str, int]:
    """What a step gives back: a refund's amount, or what a capture of less than the hold lets go."""
    if step == "refund":
        return {"refund_minor": body["amount_minor"]}
    if step == "capture" and "amount_minor" in body:
        return {"refund_minor": left_minor - body["amount_minor"]}
    return {}


class Service:
    """The provider as a separate service. `delay_s` slows every answer, after the effect is written."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.delay_s = 0.0
        self._dropped: set[str] = set()

    def app(self) -> web.Application:
        """Build the web application."""
        app = web.Application()
        app.router.add_post("/holds", self._hold)
        app.router.add_post("/holds/cancellation", self._cancel)
        app.router.add_post("/holds/{ref}/{step}", self._finish)
        app.router.add_get("/ledger", self._show)
        app.router.add_put("/delay", self._delay)
        return app

    async def _hold(self, request: web.Request) -> web.Response:
        key, body = request.headers["Idempotency-Key"], await request.json()
        token = body["token"]
        if self.ledger.known(key) is None:
            if token in DECLINES:
                self.ledger.write(key, 402, {"code": DECLINES[token]})
            elif token == "tok_refused":  # noqa: S105 - a test token
                self.ledger.write(key, 422, {"code": REFUSED})
            else:
                facts = {"amount_minor": body["amount_minor"], "currency": body["currency"]}
                ref = _ref(key, token)
                self.ledger.write(key, 201, {"id": ref, "status": "held"}, ref, **facts)
        if token == "tok_slow":  # noqa: S105 - a test token
            await asyncio.sleep(SLOW_S)
        if token == "tok_unknown" and key not in self._dropped:  # noqa: S105 - a test token
            self._dropped.add(key)
            assert request.transport is not None
            request.transport.abort()
        return await self._answer(key)

    async def _cancel(self, request: web.Request) -> web.Response:
        key, hold_key = request.headers["Idempotency-Key"], str((await request.json())["key"])
        if self.ledger.known(key) is None:
            made = self.ledger.known(hold_key)
            ref = "" if made is None else str(made[1].get("id", ""))
            if ref and self.ledger.holds[ref]["status"] not in ("held", "voided"):
                self.ledger.write(key, 409, {"code": "not_held"})
            else:
                self.ledger.write(key, 200, {"status": "voided"}, ref)
                if made is None:  # a later hold finds the key taken
                    self.ledger.write(hold_key, 409, {"code": "cancelled"})
        return await self._answer(key)

    async def _finish(self, request: web.Request) -> web.Response:
        key, ref, step = (
            request.headers["Idempotency-Key"],
            request.match_info["ref"],
            request.match_info["step"],
        )
        if self.ledger.known(key) is None:
            hold = self.ledger.holds.get(ref)
            if step not in _DONE or hold is None:
                raise web.HTTPNotFound
            left = hold.get("amount_minor", 0) - hold["refunded_minor"]
            said = _given_back(step, await request.json(), left)
            if hold["status"] not in _BEFORE[step] or not 0 <= said.get("refund_minor", 0) <= left:
                raise web.HTTPConflict
            if step == "capture" and ref.startswith("exp_"):
                self.ledger.write(key, 410, {"code": EXPIRED})
            else:
                self.ledger.write(key, 200, {"status": _DONE[step]}, ref, **said)
        return await self._answer(key)

    async def _answer(self, key: str) -> web.Response:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        known = self.ledger.known(key)
        assert known is not None
        return web.json_response(known[1], status=known[0])

    async def _show(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"holds": self.ledger.holds, "effects": self.ledger.effects})

    async def _delay(self, request: web.Request) -> web.Response:
        self.delay_s = float((await request.json())["delay_s"])
        return web.Response(status=204)


def main() -> None:
    """Serve until killed; the port is printed when it listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--ledger", type=Path)
    options = parser.parse_args()

    async def serve() -> None:
        runner = web.AppRunner(Service(Ledger(options.ledger)).app())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", options.port)
        await site.start()
        sys.stdout.write(f"sandbox gateway at http://127.0.0.1:{options.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
