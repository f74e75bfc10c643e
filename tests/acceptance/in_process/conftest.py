"""The instance of this room: started once for each file. A file's own ENVIRON goes over the one here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from api import app
from api.operator import first_run
from api.routes import ROUTES
from api.server import http_server, instance
from api.transport.listening_sockets import bind_port
from config.settings import load_settings
from loadtests.kit.client import open_http
from storage.servers import Addresses
from tests.acceptance.in_process.in_process_server import BROKEN, InProcessServer, broken
from tests.acceptance.raw_http import ALLOWED_ORIGIN
from tests.acceptance.sample_mall import PEOPLE
from tests.conftest import copy_database

ENVIRON = {
    "MALL_CORS_ORIGINS": ALLOWED_ORIGIN,
    "MALL_ADMIN_PASSWORD": PEOPLE["admin"][1],
    "MALL_RATE_LIMITS": "off",
    "MALL_FAST_PATH": os.environ.get("MALL_FAST_PATH", ""),
}


@pytest.fixture(scope="module")
async def server(
    request: pytest.FixtureRequest, template_server: str, redis_url: str, short_tmp_path: Path
) -> AsyncIterator[InProcessServer]:
    """An instance in this process. It runs in one task, because what it opens must be closed in the same task."""
    found: asyncio.Future[InProcessServer] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()
    environ = ENVIRON | getattr(request.module, "ENVIRON", {}) | {"MALL_DATA_DIR": str(short_tmp_path)}

    async def live(database_url: str) -> None:
        settings = load_settings(environ)
        routes = tuple(replace(r, handler=broken) if r.operation == BROKEN else r for r in ROUTES)
        public, ops, peers = (bind_port("127.0.0.1", 0, "") for _ in range(3))
        async with AsyncExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(http_server, "make_app", partial(app.make_app, routes=routes))
            opening = instance.open_services(settings, Addresses(database_url, redis_url), peers, over.set)
            services = await stack.enter_async_context(opening)
            await first_run.found(settings, services.database, services.passwords, services.entropy)
            await stack.enter_async_context(instance.working(services))
            await stack.enter_async_context(
                http_server.HttpServer(services, public, ops).open(asyncio.Event())
            )
            http = await stack.enter_async_context(open_http())
            database = await asyncpg.connect(database_url)
            stack.push_async_callback(database.close)
            port = public.getsockname()[1]
            process: Any = SimpleNamespace(port=port, url=f"http://127.0.0.1:{port}")
            found.set_result(InProcessServer(process, database, http, {}, "", services))
            await over.wait()

    async with asyncio.TaskGroup() as tasks:
        living = tasks.create_task(live(await copy_database(template_server)))
        living.add_done_callback(lambda _: found.done() or found.cancel())
        shown = await found
        for role, (email, password) in PEOPLE.items():
            await shown.enter(role, email, password)
        yield shown
        over.set()
