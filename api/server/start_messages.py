"""What a start says to the operator: that servers start, that the ports are open, what is missing."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from config.logs import say
from config.setting_warnings import doubts
from config.settings import Settings


def announce_servers(settings: Settings) -> None:
    """Say that embedded servers start: the first start takes seconds."""
    if settings.database_url is not None and settings.redis_url is not None:
        return
    data, fresh = settings.data_dir.resolve(), not (settings.data_dir / "postgres").exists()
    making = ", and makes the database first" if settings.database_url is None and fresh else ""
    text = f"Starting the embedded servers on {data}{making} ..."
    say(text, settings.log_format, "starts_servers", instance=settings.instance, to=sys.stdout)


def greet(
    settings: Settings,
    public: socket.socket,
    ops: socket.socket,
    lines: Sequence[str],
    instance: str,
    missing: str = "",
) -> None:
    """Print the start message for the operator: addresses, or what is missing while no request can be served."""
    at, ops_at = public.getsockname(), ops.getsockname()
    opened = f"Mall Delivery Dispatch is open at http://{at[0]}:{at[1]}"
    if missing:
        opened = f"Mall Delivery Dispatch listens at http://{at[0]}:{at[1]} and serves nothing yet: {missing}"
    text = [
        opened,
        f"  the API   http://{at[0]}:{at[1]}/docs",
        f"  pages     http://{at[0]}:{at[1]}/console/  and  /drive",
        f"  operators http://{ops_at[0]}:{ops_at[1]}/status  and  /metrics",
        *lines,
    ]
    if settings.embedded:
        text.append(f"  data      {settings.data_dir.resolve()}   Ctrl-C stops everything")
    say(
        "\n".join(text),
        settings.log_format,
        "opened_doors",
        "error" if missing else "info",
        instance,
        to=sys.stdout,
    )
    for doubt in doubts(settings):
        warned = f"warning: {doubt.text}\n  {doubt.remedy}"
        say(warned, settings.log_format, "doubtful_setting", "warning", instance, to=sys.stdout)
