"""Preflight checks of a Redis server, without changes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.findings import Finding, fault, ok, warning
from storage.redis.client import FAILURES, reason_of

CONNECT_S = 2.0
OLDEST = (6, 2)


def address_of(url: str) -> str:
    """Address of a URL, without its password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path


async def look_at_redis(url: str) -> list[Finding]:
    """Check everything that a start needs of a server."""
    where = address_of(url)
    try:
        client: Redis = Redis.from_url(
            url, socket_timeout=CONNECT_S, socket_connect_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0)
        )
    except ValueError as error:
        return [fault(f"REDIS_URL is no address of a Redis: {error}", "correct REDIS_URL")]
    try:
        await client.ping()
        # Leases, limits and tickets use scripts.
        await client.eval("return 1", 0)
        return await _look(client, where)
    except FAILURES as error:
        reason = reason_of(error)
        return [fault(f"Redis at {where}: {reason.text}", reason.remedy)]
    finally:
        await client.aclose()


async def _look(client: Redis, where: str) -> list[Finding]:
    try:
        told: dict[str, Any] = await client.info()
    except RedisError:
        return [ok(f"Redis at {where}"), warning("Redis does not tell its version (INFO is not allowed)")]
    version = tuple(int(part) for part in str(told.get("redis_version", "0")).split(".")[:2])
    name = told.get("server_name", "redis")
    shown = told.get(f"{name}_version") or told.get("redis_version")
    findings = [ok(f"Redis at {where}: {name} {shown}")]
    if version < OLDEST:
        findings[0] = fault(f"Redis {shown} at {where} is too old", "use Redis 6.2 or newer, or Valkey")
    if told.get("role") not in (None, "master"):
        findings.append(fault("Redis is a replica: nothing can be written", "point REDIS_URL at the primary"))
    if told.get("loading"):
        findings.append(fault("Redis is still loading its data", "try again when it is up"))
    if told.get("cluster_enabled"):
        findings.append(
            warning("this is a node of a Redis cluster: it must hold all slots", "use a single server")
        )
    policy = told.get("maxmemory_policy", "noeviction")
    if told.get("maxmemory") and policy != "noeviction":
        findings.append(
            warning(
                f"Redis throws out keys when it is full ({policy}): leases and limits may vanish",
                "set maxmemory-policy noeviction",
            )
        )
    return findings
