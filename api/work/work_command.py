"""`run.py work`: background work in a process of its own."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack

from api.transport.listening_sockets import adopt_port, bind_port
from api.work.process import work
from config import metrics
from config.event_loop import run_loop
from config.logs import open_logs
from config.settings import Settings
from storage.servers import reach_servers


def command_work(settings: Settings, options: argparse.Namespace) -> int:
    """Do background work, and stay."""
    with ExitStack() as stack:
        if options.ops is not None:
            ops = adopt_port(options.ops)
        else:
            ops = bind_port(settings.ops_host, settings.ops_port, "MALL_OPS_PORT")
        stack.callback(ops.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        at = stack.enter_context(reach_servers(settings))
        logs = open_logs(settings.log_format, settings.log_level, instance=settings.instance, merges=True)
        writer = stack.enter_context(logs)
        metrics.LOG_LINES_DROPPED.set_function(lambda: writer.dropped)
        program = work(settings, at.database_url, ops, ready=options.ready, lifeline=options.lifeline)
        return run_loop(settings, program)
