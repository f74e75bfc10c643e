"""Host endpoint: one ops address for all instances of a machine, served by the supervisor.

The supervisor serves it, so it answers also when all instances are down. It asks all live instances at the same time,
each with a timeout; an instance that does not answer is shown as silent and delays no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from actors.clock import Randomness
from api.contract.problems import EVERY_ANSWER, Problem, problem_response
from api.http.accept import prefers_html
from api.http.front_pages import ops_front
from api.http.pipeline import finish, trace_of
from api.ops import jobs_status, status_html
from api.ops.allowed_hosts import only_hosts
from api.ops.exposition import merge_expositions
from api.ops.exposition_format import whole
from api.ops.html_tables import POLICY
from api.ops.mails import mail_response, page_response
from api.server.process_slot import SERVING, SPARE, Process
from api.server.supervisor import Supervisor
from api.transport.connection_limits import ConnectionCounts
from api.transport.runners import runner_class

# An instance asks its peers for a second (cluster_status.py); a scrape of a busy one takes a part of that.
ASK_S = 3.0
ANSWER_BYTES_MAX = 32 * 1024 * 1024
# Probes must be quick, even when an instance hangs.
PROBE_S = 1.0
# The address to connect to, for an instance that listens at all addresses.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_JSON = {"Content-Type": "application/json"}


class HostEndpoint:
    """Queries the instances of a supervisor. Open it with `running()`.

    Args:
        processes: returns the supervisor's processes.
        fresh_trace: makes a trace id.
    """

    def __init__(self, processes: Callable[[], Sequence[Process]], fresh_trace: Callable[[], str]) -> None:
        self._processes = processes
        self._fresh_trace = fresh_trace
        self._http: aiohttp.ClientSession | None = None
        self._started = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the HTTP client until the block ends."""
        # A connection per query: a kept one could belong to an instance's process that has ended.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            self._http = http
            yield

    # -- queries ------------------------------------------------------------------------------

    async def _ask(self, process: Process, path: str, wait_s: float) -> tuple[int, bytes] | None:
        """Status and body of an answer; None when it does not come in time, or is too long."""
        assert self._http is not None
        host = _ANY.get(process.ops_host, process.ops_host)
        url = (
            f"http://[{host}]:{process.ops_port}{path}"
            if ":" in host
            else f"http://{host}:{process.ops_port}{path}"
        )
        try:
            async with asyncio.timeout(wait_s), self._http.get(url) as response:
                body = await whole(response.content, ANSWER_BYTES_MAX)
                return None if body is None else (response.status, body)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def _ask_all(self, path: str, wait_s: float) -> dict[str, tuple[int, bytes] | None]:
        """Answers of all live instances, by name."""
        async with asyncio.TaskGroup() as tasks:
            asked = {
                process.instance: tasks.create_task(
                    self._ask(process, path, wait_s), name=f"ask {process.instance}"
                )
                for process in self._processes()
                if process.pid is not None
            }
        return {name: task.result() for name, task in asked.items()}

    # -- answers ------------------------------------------------------------------------------

    async def metrics(self, request: web.Request) -> web.Response:
        """Metrics of all instances; each sample has its instance as a label."""
        del request
        answers = await self._ask_all("/metrics", ASK_S)
        texts = {name: answer[1].decode() for name, answer in answers.items() if answer and answer[0] == 200}
        text = merge_expositions(texts) + self._own_metrics(texts)
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4"})

    def _own_metrics(self, answered: Mapping[str, str]) -> str:
        known = self._processes()
        lines = [
            "# HELP mall_instance_up 1 when the instance has answered this scrape.",
            "# TYPE mall_instance_up gauge",
            *(
                f'mall_instance_up{{instance="{p.instance}"}} {int(p.instance in answered)}'
                for p in known
                if p.state != SPARE
            ),
            "# HELP mall_instance_starts_total Processes started, by instance.",
            "# TYPE mall_instance_starts_total counter",
            *(f'mall_instance_starts_total{{instance="{p.instance}"}} {p.starts}' for p in known),
        ]
        return "\n".join(lines) + "\n"

    async def status(self, request: web.Request) -> web.Response:
        """Status of the cluster from the first instance that answers.

        The processes of this machine are under `machine`. With `local=1` only they are returned.
        """
        if set(request.query) - {"local"} or request.query.get("local", "0") not in ("0", "1"):
            return self._refuse(request, Problem("malformed_request", "The only parameter is local, 0 or 1."))
        found: dict[str, Any] = {}
        if request.query.get("local") != "1":
            found = await self._seen_by_first("/status", ("instance",))
        machine = [asdict(process) for process in self._processes()]
        if "cluster" in found and prefers_html(request.headers.get("Accept", "")):
            headers = {
                **EVERY_ANSWER,
                "Content-Security-Policy": POLICY,
                "Cache-Control": "no-store",
            }
            return web.Response(
                text=status_html.render(found["cluster"], machine),
                content_type="text/html",
                charset="utf-8",
                headers=headers | {"Vary": "Accept"},
            )
        silent = not found and request.query.get("local") != "1"
        return self._json(found | {"machine": machine}, 503 if silent else 200)

    async def mails(self, request: web.Request) -> web.Response:
        """Messages of the sandbox, from the first instance that answers."""
        found = await self._seen_by_first("/mails", ("instance",))
        if not found:
            return self._json({"messages": []}, 503)
        if prefers_html(request.headers.get("Accept", "")):
            return page_response(found["messages"])
        return self._json(found, 200)

    async def mail(self, request: web.Request) -> web.Response:
        """A mail of the sandbox as it looks."""
        path = f"/mails/{request.match_info['number']}"
        for process in self._processes():
            if process.state == SERVING and process.role == "instance":
                answer = await self._ask(process, path, ASK_S)
                if answer is not None and answer[0] == 200:
                    return mail_response(answer[1].decode())
        return self._refuse(request, Problem("not_found"))

    async def jobs(self, request: web.Request) -> web.Response:
        """Status of background work from the first process that answers, instance or worker."""
        seen = await self._seen_by_first(jobs_status.PATH, ("instance", "worker"))
        if not seen:
            return self._refuse(request, Problem("unavailable", "No process of this machine answers."))
        return jobs_status.jobs_answer(request, seen, jobs_status.LINKS)

    async def _seen_by_first(self, path: str, roles: Sequence[str]) -> dict[str, Any]:
        """The answer of the first process in one of these roles, or nothing."""
        living = [
            process for process in self._processes() if process.state == SERVING and process.role in roles
        ]
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._ask(process, path, ASK_S)) for process in living]
            try:
                for next_one in asyncio.as_completed(asked):
                    answer = await next_one
                    if answer is not None and answer[0] == 200:
                        return dict(orjson.loads(answer[1]))
            finally:
                for task in asked:
                    task.cancel()
        return {}

    async def readiness(self, request: web.Request) -> web.Response:
        """Ready when any instance is ready, because they share the port. Degraded when one of them is not."""
        del request
        answers = await self._ask_all("/health/readiness", PROBE_S)
        shown: dict[str, Any] = {}
        for process in self._processes():
            answer = answers.get(process.instance)
            if process.state != SPARE and process.role == "instance":
                shown[process.instance] = (
                    _readiness_of(answer) if process.pid is not None else {"status": "down"}
                )
        states = [found["status"] for found in shown.values()]
        ready = any(state in ("ready", "degraded") for state in states)
        whole = "not_ready" if not ready else "ready" if set(states) == {"ready"} else "degraded"
        return self._json({"status": whole, "instances": shown}, 200 if ready else 503)

    async def liveness(self, request: web.Request) -> web.Response:
        """The supervisor's loop turns. An instance whose loop does not turn is restarted by the supervisor."""
        del request
        return self._json({"status": "alive"}, 200)

    async def startup(self, request: web.Request) -> web.Response:
        """Started once any instance serves requests. It need not be ready: that waits for Redis."""
        del request
        self._started = self._started or any(
            process.state == SERVING and process.role == "instance" for process in self._processes()
        )
        return self._json(
            {"status": "started" if self._started else "starting"}, 200 if self._started else 503
        )

    async def unknown(self, request: web.Request) -> web.Response:
        """Answer for all other paths."""
        return self._refuse(request, Problem("not_found"))

    def _json(self, value: Any, status: int) -> web.Response:
        body = orjson.dumps(value)
        return web.Response(
            body=body, status=status, headers={**EVERY_ANSWER, **_JSON, "Cache-Control": "no-store"}
        )

    def _refuse(self, request: web.Request, problem: Problem) -> web.Response:
        trace = trace_of(request, self._fresh_trace)
        response = problem_response(problem, trace)
        finish(response, trace)
        return response


def _readiness_of(answer: tuple[int, bytes] | None) -> dict[str, Any]:
    if answer is None:
        return {"status": "silent"}
    try:
        return dict(orjson.loads(answer[1]))
    except (ValueError, TypeError):
        return {"status": "silent"}


def make_machine_app(
    machine: HostEndpoint, names: Sequence[str], fresh_trace: Callable[[], str]
) -> web.Application:
    """Build the operators' application of a supervisor."""
    app = web.Application(middlewares=[only_hosts(names, fresh_trace)])
    for path, handler in (
        ("/", ops_front),
        ("/metrics", machine.metrics),
        ("/status", machine.status),
        ("/mails", machine.mails),
        (r"/mails/{number:[1-9][0-9]{0,14}}", machine.mail),
        (jobs_status.PATH, machine.jobs),
        ("/health", machine.readiness),
        ("/health/readiness", machine.readiness),
        ("/health/liveness", machine.liveness),
        ("/health/startup", machine.startup),
    ):
        app.router.add_get(path, handler)
    app.router.add_route("*", "/{tail:.*}", machine.unknown)
    return app


async def supervise(
    supervisor: Supervisor, bound: socket.socket, names: Sequence[str], entropy: Randomness, *, fast: bool
) -> int:
    """Run the supervisor, and serve operators for all its instances; returns the exit code.

    Raises:
        FastPathError: the fast path is on, and the installed aiohttp does not have what it needs.
    """
    async with open_machine_ops(bound, lambda: supervisor.processes, names, entropy, fast=fast):
        return await supervisor.run()


@contextlib.asynccontextmanager
async def open_machine_ops(
    bound: socket.socket,
    processes: Callable[[], Sequence[Process]],
    names: Sequence[str],
    entropy: Randomness,
    *,
    fast: bool,
) -> AsyncIterator[None]:
    """Serve operators for the whole machine until the block ends."""
    machine = HostEndpoint(processes, entropy.trace)
    app = make_machine_app(machine, names, entropy.trace)
    runner = runner_class(fast=fast)(
        app,
        ConnectionCounts(0),
        entropy.trace,
        handle_signals=False,
        access_log=None,
        shutdown_timeout=1,
        auto_decompress=False,
    )
    async with machine.running():
        await runner.setup()
        try:
            await web.SockSite(runner, bound).start()
            yield
        finally:
            await runner.cleanup()
