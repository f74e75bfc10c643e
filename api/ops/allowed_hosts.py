"""Under which names the ops port may be asked.

A page that a browser of an operator shows may let its own name point to 127.0.0.1 after it was loaded (DNS rebinding),
and would read what is meant for operators. Such a request names the page's host: only names that are configured are
answered, loopback, and addresses, which no page can take over.
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
    """True for an address, a name of loopback, and the names given."""
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
    """A middleware that refuses requests under other names, before anything looks at them."""
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
