"""Operators' port of a worker: metrics and health. It is never public."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from api.contract.problems import Problem, problem_response
from api.http.front_pages import work_front
from api.http.pipeline import finish, trace_of
from api.http.request import json_response
from api.ops import jobs_status
from api.ops.allowed_hosts import only_hosts
from api.ops.exposition_format import metrics_answer
from api.transport.connection_limits import ConnectionCounts
from api.transport.runners import runner_class
from api.work.work_services import WorkServices
from config import metrics
from storage.errors import StorageError

LINKS = {"/metrics": "metrics", "/health": "health"}


class WorkOps:
    """Handlers of the port."""

    def __init__(self, services: WorkServices) -> None:
        self._services = services

    async def all_metrics(self, request: web.Request) -> web.Response:
        """All metrics of the process."""
        return await metrics_answer(request, [metrics.REGISTRY, metrics.WORK_REGISTRY])

    async def work_metrics(self, request: web.Request) -> web.Response:
        """Metrics of background work alone, for an instance that shows them with its own."""
        return await metrics_answer(request, [metrics.WORK_REGISTRY])

    async def jobs(self, request: web.Request) -> web.StreamResponse:
        """Status of background work."""
        services = self._services
        name, fresh_trace = services.settings.instance, services.entropy.trace
        return await jobs_status.show_jobs(request, services.control, name, fresh_trace, LINKS)

    async def liveness(self, request: web.Request) -> web.Response:
        """The process is alive."""
        del request
        return json_response({"status": "alive"})

    async def readiness(self, request: web.Request) -> web.Response:
        """Ready when Postgres answers."""
        del request
        try:
            await self._services.jobs.ping()
        except StorageError:
            return json_response({"status": "not_ready", "components": {"postgres": "down"}}, 503)
        return json_response({"status": "ready", "components": {"postgres": "up"}})

    async def unknown(self, request: web.Request) -> web.Response:
        """Answer for all other paths."""
        return self._refuse(request, Problem("not_found"))

    def _refuse(self, request: web.Request, problem: Problem) -> web.Response:
        trace = trace_of(request, self._services.entropy.trace)
        response = problem_response(problem, trace)
        finish(response, trace)
        return response


def make_work_app(services: WorkServices) -> web.Application:
    """Build the application."""
    ops = WorkOps(services)
    app = web.Application(middlewares=[only_hosts(services.settings.ops_names, services.entropy.trace)])
    for path, handler in (
        ("/", work_front),
        (jobs_status.PATH, ops.jobs),
        ("/metrics", ops.all_metrics),
        ("/metrics/work", ops.work_metrics),
        ("/health", ops.readiness),
        ("/health/readiness", ops.readiness),
        ("/health/liveness", ops.liveness),
        ("/health/startup", ops.readiness),
    ):
        app.router.add_get(path, handler)
    app.router.add_route("*", "/{tail:.*}", ops.unknown)
    return app


@contextlib.asynccontextmanager
async def open_work_ops(
    services: WorkServices, bound: socket.socket, fresh_trace: Callable[[], str]
) -> AsyncIterator[None]:
    """Serve the port until the block ends."""
    runner = runner_class(fast=services.settings.fast_path == "on")(
        make_work_app(services),
        ConnectionCounts(0),
        fresh_trace,
        handle_signals=False,
        access_log=None,
        shutdown_timeout=1,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, bound).start()
        async with asyncio.TaskGroup() as tasks:
            sweep = tasks.create_task(runner.sweep(), name="slow connections")
            try:
                yield
            finally:
                sweep.cancel()
    finally:
        await runner.cleanup()
