"""Refusals of malformed requests: counted, sampled in the log, and in the API's form."""

from __future__ import annotations

import structlog
from aiohttp import web

from api.contract.problems import Problem, problem_response
from config import metrics
from config.log_sampling import STRANGERS

log = structlog.get_logger()

# Text of an unauthenticated client, so it is cut.
METHOD_CHARS, PATH_CHARS = 20, 200
# aiohttp's method for a request that it could not parse.
_UNREAD = "UNKNOWN"


def refusal(problem: Problem, reason: str, trace: str, request: web.BaseRequest | None) -> web.Response:
    """The refusal as a response. Its log line is sampled: an unauthenticated client may cause any number of them."""
    metrics.MALFORMED_REQUESTS.labels(reason).inc()
    metrics.REQUESTS.labels("(none)", "(any)", problem.kind.status).inc()
    left_out = STRANGERS.take(reason)
    if left_out is not None:
        known = request is not None and request.method != _UNREAD
        log.info(
            "refused_malformed_request",
            trace_id=trace,
            status=problem.kind.status,
            reason=reason,
            error_code=problem.code,
            method=request.method[:METHOD_CHARS] if request is not None and known else None,
            path=request.path[:PATH_CHARS] if request is not None and known else None,
            left_out=left_out or None,
        )
    response = problem_response(problem, trace)
    response.headers["X-Trace-ID"] = trace
    return response
