"""Preflight checks: everything that a start needs is checked, and nothing is changed."""

from __future__ import annotations

import asyncio
import resource
import urllib.request
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from actors.shards import SHARD_COUNT
from api.operator.first_run import SHARD_FUNCTION
from api.transport.listening_sockets import StartError, bind_port
from config.findings import Finding, fault, ok, report, warning
from config.setting_warnings import doubts
from config.settings import Settings
from storage.embedded.preflight import look_at_embedded
from storage.postgres.preflight import look_at_postgres
from storage.redis.preflight import look_at_redis
from storage.servers import Addresses, running_servers

# Each client takes one file descriptor, and phones keep theirs.
FILES_MIN = 4096
ANSWER_S = 1.0
GATEWAY_S = 3.0


def look_here(settings: Settings, running: Addresses | None) -> list[Finding]:
    """Checks of this machine; they block, so they run in a thread."""
    findings = [ok("the settings are understood"), *look_at_ports(settings), *look_at_limits()]
    if running is not None:
        findings.append(ok(f"embedded servers are running on {settings.data_dir.resolve()}"))
    elif settings.database_url is None or settings.redis_url is None:
        findings += look_at_embedded(
            settings.data_dir, postgres=settings.database_url is None, valkey=settings.redis_url is None
        )
    return findings


async def look_outside(settings: Settings, running: Addresses | None) -> list[Finding]:
    """Checks of the servers: those with an address, and embedded ones that run."""
    database_url = settings.database_url or (running.database_url if running else None)
    redis_url = settings.redis_url or (running.redis_url if running else "") or None
    findings = []
    if database_url is not None:
        findings += await look_at_postgres(database_url, settings.pool_size, (SHARD_COUNT, SHARD_FUNCTION))
    if redis_url is not None:
        findings += await look_at_redis(redis_url)
    if settings.gateway_url not in (None, "sandbox"):
        findings.append(await look_at_gateway(str(settings.gateway_url)))
    return findings


async def look_at_gateway(url: str) -> Finding:
    """Check that a server listens there; no request is sent."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(GATEWAY_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
            writer.close()
    except (OSError, TimeoutError) as error:
        return warning(
            f"the payment gateway at {parts.hostname}:{port} cannot be reached: {type(error).__name__}",
            "correct MALL_GATEWAY_URL; until it answers, payments wait",
        )
    return ok(f"somebody listens at the payment gateway's {parts.hostname}:{port}")


async def look_at_everything(settings: Settings) -> list[Finding]:
    """Run all checks for these settings."""
    running = running_servers(settings)
    here = await asyncio.to_thread(look_here, settings, running)
    return [*here, *await look_outside(settings, running), *doubts(settings)]


def command_check(settings: Settings, say: Callable[[str], None]) -> int:
    """Print all findings; 1 when one of them prevents a start."""
    text, code = report(asyncio.run(look_at_everything(settings)))
    say(text)
    return code


def look_at_ports(settings: Settings) -> Iterator[Finding]:
    """Check that the addresses can be listened on; a port that our own server holds is not a fault."""
    wanted = (
        (settings.host, settings.port, "MALL_PORT"),
        (settings.ops_host, settings.ops_port, "MALL_OPS_PORT"),
        (settings.peer_host, settings.peer_port, "MALL_PEER_PORT"),
    )
    for host, port, variable in wanted:
        try:
            bind_port(host, port, variable).close()
        except StartError as error:
            if _is_ours(host, port):
                yield warning(
                    f"a server of this kind runs at {host}:{port}", f"a second one needs another {variable}"
                )
            else:
                yield fault(str(error))
        else:
            yield ok(f"{variable}: {host}:{port or 'any'} is free")


def _is_ours(host: str, port: int) -> bool:
    """True when a dispatch server answers there."""
    if port == 0:
        return False
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - to connect to, not to listen on
    shown = f"[{shown}]" if ":" in shown else shown
    # Without the proxies of the environment, because the target is this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{shown}:{port}/health/liveness", timeout=ANSWER_S) as answer:
            return bool(answer.headers.get("X-Trace-ID")) and b'"alive"' in answer.read(200)
    except (OSError, ValueError):
        return False


def look_at_limits() -> Iterator[Finding]:
    """Check that the system allows enough open files for all phones."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FILES_MIN:
        yield warning(
            f"this process may open {most} files, so about as many clients connect",
            f"raise the limit: ulimit -n {FILES_MIN * 4}",
        )
