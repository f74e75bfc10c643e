"""A driver's phone for the terminal: goes online, shows every frame, and does the work if asked to.

`python -m loadtests.kit.phone_cli --token TOKEN [--accept]`
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

from loadtests.kit.client import Closed, Mall, Phone, open_http

# Answers to the opening of a feed after which the same token leads nowhere; and so do these close codes
# (api/feed/PROTOCOL.md: 40xx means stop).
REFUSALS = (400, 401, 403, 426)
STOPS = range(4000, 4100)
PAUSE_S = 1.0


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


async def serve(phone: Phone, events: asyncio.Queue[dict[str, Any]], *, accept: bool) -> None:
    """Do what the events ask for, for ever."""
    while True:
        event = await events.get()
        if accept:
            await work(phone, event)


async def stay(phone: Phone, events: asyncio.Queue[dict[str, Any]], *, accept: bool) -> None:
    """One connection, from the welcome to its end.

    Raises:
        aiohttp.ClientError, Closed: there was none.
        ExceptionGroup: it ended in the middle of a command.
    """
    async with phone.connected(), asyncio.TaskGroup() as tasks:
        show(phone.welcome)
        key = f"online-{secrets.token_hex(6)}"
        await phone.ask({"t": "availability", "status": "online", "key": key})
        worker = tasks.create_task(serve(phone, events, accept=accept))
        await phone.until_lost()
        worker.cancel()


async def drive(url: str, token: str, *, accept: bool) -> str:
    """Stay connected until Ctrl-C; a lost connection is resumed. Returns why the server refuses another one."""
    async with open_http() as http:
        phone = Phone(Mall(http, url, token))
        phone.on_frame = show
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        phone.on_event = events.put_nowait
        while True:
            why = ""
            try:
                await stay(phone, events, accept=accept)
            except aiohttp.WSServerHandshakeError as error:
                why = f"HTTP {error.status}"
                if error.status in REFUSALS:
                    return f"{why}: is this the access token of a driver, and not older than ten minutes?"
            except (Closed, aiohttp.ClientError, TimeoutError, ExceptionGroup) as error:
                why = str(error)
            if (phone.close_code or 0) in STOPS:
                return f"closed with {phone.close_code}"
            print(f"no line ({why or phone.close_code}), trying again", file=sys.stderr, flush=True)
            await asyncio.sleep(PAUSE_S)


def main() -> int:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.kit.phone_cli", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--token", required=True, help="a driver's access token")
    parser.add_argument("--accept", action="store_true", help="accept every offer and deliver it")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        print(asyncio.run(drive(options.url, options.token, accept=options.accept)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
