"""What a connection answers to what is no request: counted, sampled in the log, and in the form of any refusal."""

from __future__ import annotations

import structlog
from aiohttp import web

from api.contract.problems import Problem, problem_response
from config import metrics
from config.log_sampling import STRANGERS

log = structlog.get_logger()

# A stranger's words, so not many.
METHOD_CHARS, PATH_CHARS = 20, 200
# What aiohttp calls the method of what it could not read.
_UNREAD = "UNKNOWN"


def refusal(problem: Problem, reason: str, trace: str, request: web.BaseRequest | None) -> web.Response:
    """The answer. Whoever is no client of ours may ask for any number of them, so not each has a line."""
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
