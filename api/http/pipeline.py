"""Request pipeline around each handler: trace, caller, scope, limit, deadline, problem, log line, metric."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter
from typing import Any

import structlog
from aiohttp import web

from actors.tracing import RUNNING_TRACE
from api.auth.access_tokens import BadToken, Blind, Principal
from api.auth.permissions import Access, allows
from api.contract.json_body import BODY_BYTES_MAX
from api.contract.problems import (
    EVERY_ANSWER,
    KINDS,
    VERSION_HEADER,
    Fault,
    Problem,
    problem_for,
    problem_response,
)
from api.contract.versions import VERSIONS, check_agreement
from api.http.cors import refused_preflight
from api.http.observers import about_request
from api.http.operation import Route
from api.http.request import PATCH_TYPES, RequestContext
from api.http.services import SERVICES
from api.ratelimit.admission import rank_of
from api.ratelimit.headers import mark
from api.tracing.sampling import Sampling, Traceparent, read_traceparent
from config import metrics
from config.log_sampling import STRANGERS

log = structlog.get_logger()

# A slower handler is cancelled; commands have their own, shorter deadlines.
DEADLINE_S = 10.0
UNSEEN = "Whether this session was ended cannot be known at the moment."
_HTTP_CODES = {
    404: "not_found", 405: "method_not_allowed", 406: "not_acceptable",
    411: "length_required", 413: "body_too_large", 415: "unsupported_media_type", 417: "expectation_failed",
}  # fmt: skip
_READS = ("GET", "HEAD")
# Length of a log line's text from a request that matches no route: it comes from an unauthenticated client.
METHOD_CHARS, PATH_CHARS = 20, 200
# Routes that match every path, or every path of a version; the router tries them last.
UNKNOWN_PATH, UNKNOWN_CANONICAL = "/{tail:.*}", "/{tail}"
_VERSIONED = tuple(version.prefix for version in VERSIONS)
# Requests in flight. A gauge of the metric library would cost two locks a request.
_in_flight = 0
# Requests in flight without streams, which live for hours and cost little; load shedding looks at this number.
_working = 0
metrics.REQUESTS_IN_FLIGHT.set_function(lambda: _in_flight)
# Such a request has a span also if its trace is not recorded.
LATE_S = 1.0
# Such a request is an example for its bucket in the metrics.
SLOW_REQUEST_S = 0.1


def trace_of(request: web.BaseRequest, fresh: Callable[[], str]) -> str:
    """The trace id of a valid W3C traceparent, or a new one. No other header is used."""
    given = read_traceparent(request.headers.get("traceparent"))
    return fresh() if given is None else given.trace


def bind(
    route: Route, calls: type[RequestContext] = RequestContext
) -> Callable[[web.Request], Coroutine[Any, None, web.StreamResponse]]:
    """Build the aiohttp handler of a route; `calls` is the class of its request contexts."""
    access = route.access
    # A stream lasts as long as its client likes.
    seconds = None if route.streams else metrics.REQUEST_SECONDS.labels(route.path, route.method)
    rank = rank_of(route.operation, access, streams=route.streams)
    weight = 0 if route.streams else 1
    name = f"{route.method} {route.path}"

    async def handle(request: web.Request) -> web.StreamResponse:
        global _in_flight, _working
        services = request.app[SERVICES]
        given = read_traceparent(request.headers.get("traceparent"))
        trace = services.entropy.trace() if given is None else given.trace
        context = calls(request, services, trace)
        sampling = services.sampling
        if sampling is not None:
            context.span = sampling.begin(trace, given, request.remote, name)
        if not route.prompt:
            RUNNING_TRACE.set(context.carried)
        began = perf_counter()
        _in_flight += 1
        _working += weight
        response: web.StreamResponse | None = None
        try:
            response = await _answer(route, access, rank, context)
            return response
        finally:
            _in_flight -= 1
            _working -= weight
            took_s = perf_counter() - began
            if seconds is not None:
                seconds.observe(took_s, _exemplar(context.trace, took_s))
            _record(route, context, response, took_s)
            if sampling is not None:
                _trace(sampling, given, route, context, response, took_s)

    return handle


def _trace(
    sampling: Sampling,
    given: Traceparent | None,
    route: Route,
    context: RequestContext,
    response: web.StreamResponse | None,
    took_s: float,
) -> None:
    """End the span of a request. One that failed, or took long, has a span also if its trace is not recorded."""
    status = 499 if response is None else response.status
    span = context.span
    if span is None:
        late = took_s > LATE_S and not route.streams
        if status < 500 and not late:
            return
        span = sampling.late(
            context.trace, given, context.request.remote, f"{route.method} {route.path}", took_s
        )
        if span is None:
            return
    about = {f"mall.{name}": value for name, value in about_request(route.path, context, response).items()}
    if context.code:
        about["error.type"] = context.code
    about |= {"http.request.method": route.method, "http.route": route.path}
    span.end(context.code if status >= 500 else "", **about, **{"http.response.status_code": status})


def _exemplar(trace: str, took_s: float) -> dict[str, str] | None:
    """The trace id of a slow request, and of one in 256 others."""
    return {"trace_id": trace} if took_s > SLOW_REQUEST_S or trace.endswith("00") else None


async def _answer(
    route: Route, access: Access, rank: int | None, context: RequestContext
) -> web.StreamResponse:
    try:
        if rank is not None and _working > context.services.admission.bounds[rank]:
            context.services.admission.refuse(rank)
        if VERSION_HEADER in context.request.headers and route.path.startswith(_VERSIONED):
            check_agreement(context.version, context.request.headers)
        identify(access, context, ticketed=route.ticketed)
        with context.services.admission.under_way(context.principal, streams=route.streams):
            await admit(access, context)
            _refuse_excess(route, context.request)
            if route.streams:
                return await route.handler(context)
            if route.prompt:
                response = await route.handler(context)
            else:
                async with asyncio.timeout(DEADLINE_S):
                    response = await route.handler(context)
    except asyncio.CancelledError:
        raise
    except web.HTTPException as error:
        response = _known(context, error)
    except TimeoutError:
        context.code = "outcome_unknown"
        response = problem_response(Problem("outcome_unknown"), context.trace)
    except Exception as error:
        problem = problem_for(error)
        if problem.code == "outcome_unknown" and route.method in _READS:
            problem = Problem("unavailable")  # a read has no outcome
        context.code = problem.code
        if problem.code == "internal":
            about = about_request(route.path, context, None)
            log.error("failed_request", trace_id=context.trace, route=route.path, **about, exc_info=error)
        response = problem_response(problem, context.trace)
        # Its frames refer to it: the cycle would keep the whole request until a collection.
        del problem
    finish(response, context.trace)
    if context.allowance is not None and not response.prepared:
        mark(response.headers, context.allowance)
    if context.services.draining:
        response.force_close()  # the client's next request goes to another instance
    return response


def _refuse_excess(route: Route, request: web.Request) -> None:
    """Refuse a query or a body that the operation would not read, instead of ignoring it."""
    if "?" in request.raw_path and not route.takes_query and request.query_string:
        raise Problem(
            "invalid",
            faults=[
                Fault(
                    "query", next(iter(request.query), "?")[:50], "unknown", "is not known here; leave it out"
                )
            ],
        )
    if route.method in _READS and request.can_read_body:
        raise Problem("malformed_request", "This operation takes no body.")


async def expect(request: web.Request) -> web.StreamResponse | None:
    """Check an Expect header: 100-continue is supported, any other value is refused in our form.

    The interim answer is sent when the body is read (`RequestContext.body_bytes`), so a refused client sends no body.
    """
    code = "expectation_failed"
    if request.headers.get("Expect", "").lower() == "100-continue":
        if (request.content_length or 0) <= BODY_BYTES_MAX:
            return None
        code = "body_too_large"
    trace = trace_of(request, request.app[SERVICES].entropy.trace)
    response = problem_response(Problem(code), trace)
    finish(response, trace)
    response.force_close()  # whether a body follows is unknown
    return response


def finish(response: web.StreamResponse, trace: str) -> None:
    """Add the headers that every answer has."""
    if not response.prepared:
        headers = response.headers
        headers["X-Trace-ID"] = trace
        if headers.get("Server") != "mall":
            for name, value in EVERY_ANSWER.items():
                headers.setdefault(name, value)
            headers["Server"] = "mall"


def _known(context: RequestContext, error: web.HTTPException) -> web.Response:
    """Our form of aiohttp's own refusals."""
    problem = _known_problem(error)
    context.code = problem.code
    return problem_response(problem, context.trace)


def _known_problem(error: web.HTTPException) -> Problem:
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    if "PATCH" in headers.get("Allow", ""):
        headers["Accept-Patch"] = ", ".join(PATCH_TYPES)
    return Problem(_HTTP_CODES.get(error.status, "malformed_request"), headers=headers)


def identify(access: Access, context: RequestContext, *, ticketed: bool = False) -> None:
    """Authenticate the caller, where the route requires one.

    Raises:
        Problem: unauthenticated, unavailable, rate_limited.
    """
    if access.scope is None:
        return
    try:
        context.principal = authenticate(context, ticketed=ticketed)
    except Problem as problem:
        admission = context.services.admission
        if admission.on and problem.code == "unauthenticated":
            admission.admit_stranger(context)
        raise


async def admit(access: Access, context: RequestContext) -> None:
    """Count the request and check its permission, before its body is read.

    Raises:
        Problem: rate_limited, forbidden.
    """
    admission = context.services.admission
    if admission.on and access.policy is not None:
        await admission.admit(access.policy, context)
    if access.scope is not None:
        permit(access.scope, context)


def permit(scope: str, context: RequestContext) -> None:
    """Check that the caller's role has the scope.

    Raises:
        Problem: forbidden.
    """
    if not allows(context.who.role, scope):
        raise Problem("forbidden", f"The scope {scope} is needed.")


def authenticate(context: RequestContext, *, ticketed: bool = False) -> Principal:
    """The principal of the bearer token, or, on a ticketed route, of the ticket in the query.

    Raises:
        Problem: unauthenticated, or unavailable while revocation cannot be checked.
    """
    headers, services = context.request.headers.getall("Authorization", []), context.services
    ticket = context.request.query.get("ticket") if ticketed and not headers else None
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if ticket is None and (scheme.lower() != "bearer" or not token):
        raise Problem("unauthenticated")
    try:
        if ticket is None:
            return services.tokens.verify(token)
        return services.tokens.admit(services.stream_tickets.read(context.request.match_info["id"], ticket))
    except BadToken:
        raise Problem(
            "unauthenticated", headers={"WWW-Authenticate": 'Bearer realm="mall", error="invalid_token"'}
        ) from None
    except Blind:
        raise Problem("unavailable", UNSEEN) from None


def _record(
    route: Route, context: RequestContext, response: web.StreamResponse | None, seconds: float
) -> None:
    """Write the metric and the one log line of a request."""
    status = 499 if response is None else response.status
    metrics.request_count(route.path, route.method, status).inc()
    if route.quiet and status < 400:
        return
    who = context.principal
    left_out = None
    if who is None and status >= 400:
        left_out = STRANGERS.take(f"{status} {route.path}")
        if left_out is None:
            return
    level = KINDS[context.code].log if context.code in KINDS else "info"
    if who is None and context.code == "overloaded":
        level = "info"  # an unauthenticated client can cause any number of them
    values = {
        "trace_id": context.carried,
        "route": route.path,
        "method": route.method,
        "status": status,
        "error_code": context.code or None,
        "api_version": context.version,
        "user_id": None if who is None else f"usr_{who.number}",
        "duration_s": round(seconds, 6),
        **about_request(route.path, context, response),
    }
    if left_out:
        values["left_out"] = left_out
    getattr(context.services.log, level)("answered_request", **values)


async def unknown(request: web.Request) -> web.StreamResponse:
    """Handler of requests that match no route: an unknown path, or a known one with another method.

    It is registered after all other routes; a middleware would see these requests, too, but would cost every request.
    """
    services = request.app[SERVICES]
    try:
        services.admission.admit_unknown(request)
    except Problem as problem:
        return refuse(request, problem)
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if not resource.canonical.endswith(UNKNOWN_CANONICAL):
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        return _refused(request, web.HTTPMethodNotAllowed(request.method, sorted(allowed)))
    return _refused(request, web.HTTPNotFound())


def _refused(request: web.Request, error: web.HTTPException) -> web.Response:
    return refuse(request, _known_problem(error))


def refuse(request: web.Request, problem: Problem, route: str = "(none)") -> web.Response:
    """The refusal of a request that has no context, in the same form as any other."""
    trace = trace_of(request, request.app[SERVICES].entropy.trace)
    response = problem_response(problem, trace)
    finish(response, trace)
    left_out = STRANGERS.take(problem.code)
    if left_out is not None:
        log.info(
            "refused_request",
            trace_id=trace,
            status=response.status,
            error_code=problem.code,
            method=request.method[:METHOD_CHARS],
            path=request.path[:PATH_CHARS],
            left_out=left_out or None,
        )
    metrics.REQUESTS.labels(route, "(any)", response.status).inc()
    return response


@web.middleware
async def outside(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Middleware for handlers that are not ours: preflights of aiohttp-cors, pages for operators."""
    try:
        response = await handler(request)
        if "X-Trace-ID" not in response.headers:
            finish(response, trace_of(request, request.app[SERVICES].entropy.trace))
        return response
    except web.HTTPForbidden:  # only from aiohttp-cors
        return refuse(request, refused_preflight(request, request.app[SERVICES].settings.cors_origins))
    except web.HTTPException as error:
        return _refused(request, error)
