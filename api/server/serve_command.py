"""`run.py serve`: one instance in this process, or several behind a supervisor.

The supervisor imports no instance: it stays small, and starts at once.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from actors.clock import SystemRandomness
from api.auth.passwords import Passwords
from api.operator import first_run
from api.server.host_endpoint import supervise
from api.server.process_slot import make_slots
from api.server.start_messages import announce_servers, greet
from api.server.supervisor import Supervisor
from api.server.worker_slot import child_environment
from api.transport.listening_sockets import bind_port, open_sockets
from config import metrics
from config.event_loop import run_loop
from config.logs import open_logs
from config.settings import Settings
from storage.postgres.database import COMMAND_CONNECT_S, open_database
from storage.postgres.migrate import migrate, wait_for
from storage.servers import Addresses, open_servers


def command_serve(settings: Settings, options: argparse.Namespace, program: Path) -> int:
    """Start an instance, or several, and stay. `program` is what child processes run."""
    if options.instances > 1:
        workers = options.instances if options.workers is None else options.workers
        return _supervise(settings, options.instances, workers if settings.work == "on" else 0, program)
    from api.server.instance import serve

    with ExitStack() as stack:
        sockets = open_sockets(settings, options)
        stack.callback(sockets.close)
        # A Ctrl-C during the servers' start must still stop them.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        announce_servers(settings)
        at = stack.enter_context(open_servers(settings))
        logs = open_logs(settings.log_format, settings.log_level, instance=settings.instance)
        writer = stack.enter_context(logs)
        metrics.LOG_LINES_DROPPED.set_function(lambda: writer.dropped)
        return run_loop(settings, serve(settings, at, sockets, program))


def _supervise(settings: Settings, count: int, worker_count: int, program: Path) -> int:
    """Start several instances behind one port, and workers, and restart those that end."""
    with ExitStack() as stack:
        public = bind_port(settings.host, settings.port, "MALL_PORT")
        stack.callback(public.close)
        machine, *ops = [
            bind_port(settings.ops_host, settings.ops_port and settings.ops_port + i, "MALL_OPS_PORT")
            for i in range(count + 2 + worker_count)  # the supervisor, and a rolling restart's spare
        ]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        announce_servers(settings)
        at = stack.enter_context(open_servers(settings))
        stack.enter_context(open_logs(settings.log_format, settings.log_level, instance="supervisor"))
        lines = asyncio.run(_prepare(settings, at))
        environ, name, path = child_environment(settings, at), settings.instance, str(program)
        supervisor = Supervisor(
            make_slots(name, path, ops[: count + 1], environ, public=public),
            make_slots(name, path, ops[count + 1 :], environ, public=None),
            lambda: greet(settings, public, machine, lines, "supervisor"),
        )
        fast = settings.fast_path == "on"
        return asyncio.run(supervise(supervisor, machine, settings.ops_names, SystemRandomness(), fast=fast))


async def _prepare(settings: Settings, at: Addresses) -> list[str]:
    """Prepare the database once for all instances: schema, administrator and sample."""
    await wait_for(at.database_url)
    await migrate(at.database_url)
    passwords = Passwords()
    try:
        async with open_database(at.database_url, size_max=2, connect_s=COMMAND_CONNECT_S) as database:
            return await first_run.found(settings, database, passwords, SystemRandomness())
    finally:
        passwords.close()
