"""Host names that the ops port accepts.

A web page in an operator's browser can point its own host name to 127.0.0.1 after it was loaded (DNS rebinding), and
would then read the operators' data. Its requests name the page's host, so only configured names, loopback and
addresses are accepted; a page cannot take over an address.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import TypeAlias

from aiohttp import web

from api.contract.problems import Problem, problem_response
from api.http.pipeline import finish, trace_of
from config import metrics

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def host_of(field: str) -> str:
    """The name in a Host field, in lower case, without its port."""
    host = field.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def is_allowed(field: str, names: Iterable[str]) -> bool:
    """True for an address, a name of loopback, and the given names."""
    host = host_of(field)
    if host == "localhost" or host.endswith(".localhost") or host in names:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def only_hosts(
    names: Iterable[str], fresh_trace: Callable[[], str]
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Middleware that refuses requests for other host names before any handler runs."""
    known = frozenset(name.lower().removesuffix(".") for name in names)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        fields = request.headers.getall("Host", [])
        if len(fields) == 1 and is_allowed(fields[0], known):
            return await handler(request)
        metrics.REQUESTS.labels("(none)", "(any)", 421).inc()
        trace = trace_of(request, fresh_trace)
        response = problem_response(
            Problem("unknown_host", "Ask under an address, or name it in MALL_OPS_NAMES."), trace
        )
        finish(response, trace)
        return response

    return guard
