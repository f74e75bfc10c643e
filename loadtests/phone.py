"""A driver's phone for the terminal: goes online, shows every frame, and does the work if asked to.

`python -m loadtests.phone --token TOKEN [--accept]`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import sys
from typing import Any

import aiohttp
import orjson

from loadtests.client import Closed, Mall, Phone, open_http


def show(frame: dict[str, Any]) -> None:
    """One frame a line."""
    print(orjson.dumps(frame).decode(), flush=True)


async def work(phone: Phone, event: dict[str, Any]) -> None:
    """Accept, fetch and deliver: what a driver does with an offer, without the driving."""
    order = event["data"]["order_id"]
    if event["type"] == "offer":
        frame = {"t": "offer.accept", "orders": [order], "offer_id": event["data"]["offer_id"]}
        await phone.ask({**frame, "key": f"accept-{secrets.token_hex(6)}"})
    elif event["type"] == "order.assigned":
        await phone.ask({"t": "order.pickup", "order_id": order, "key": f"pickup-{secrets.token_hex(6)}"})
        await phone.ask({"t": "order.delivery", "order_id": order, "key": f"delivery-{secrets.token_hex(6)}"})


async def drive(url: str, token: str, *, accept: bool) -> None:
    """Stay connected until Ctrl-C; a lost line is resumed."""
    async with open_http() as http:
        phone = Phone(Mall(http, url, token))
        phone.on_frame = show
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        phone.on_event = events.put_nowait
        while True:
            with contextlib.suppress(Closed, aiohttp.ClientError, TimeoutError, ExceptionGroup):
                async with phone.connected():
                    show(phone.welcome)
                    key = f"online-{secrets.token_hex(6)}"
                    await phone.ask({"t": "availability", "status": "online", "key": key})
                    while not phone.closed:
                        event = await events.get()
                        if accept:
                            await work(phone, event)
            await asyncio.sleep(1.0)


def main() -> int:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.phone", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--token", required=True, help="a driver's access token")
    parser.add_argument("--accept", action="store_true", help="accept every offer and deliver it")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(drive(options.url, options.token, accept=options.accept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
