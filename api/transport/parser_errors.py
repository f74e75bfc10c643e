"""Reasons why a request could not be parsed. A refusal repeats nothing of the request."""

from __future__ import annotations

from api.transport.aiohttp_internals import (
    BadHttpMethod,
    BadStatusLine,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
    TransferEncodingError,
)
from api.transport.malformed import TARGET_BYTES_MAX

Verdict = tuple[str, str]
"""Classification of an error: a reason, which is a label of a metric, and the code of the problem."""


def judge(error: BaseException) -> Verdict:
    """The reason and the problem for a parser's error."""
    if isinstance(error, LineTooLong):
        if error.args[1] == TARGET_BYTES_MAX:
            return "target_too_long", "target_too_long"
        return "header_too_long", "headers_too_large"
    if isinstance(error, BadHttpMethod):
        return "method", "malformed_request"
    if isinstance(error, BadStatusLine):
        return "request_line", "malformed_request"
    if isinstance(error, InvalidURLError):
        return "target", "malformed_request"
    if isinstance(error, InvalidHeader):
        return "header", "malformed_request"
    if isinstance(error, TransferEncodingError):
        return "framing", "malformed_request"
    return _by_text(str(getattr(error, "message", "")))


def _by_text(text: str) -> Verdict:
    """Classify by the parser's message, since all other errors share one class. An unknown message is `syntax`."""
    if text.startswith("Too many headers"):
        return "too_many_headers", "headers_too_large"
    if text.startswith(("Missing 'Host'", "Duplicate 'Host'")):
        return "host", "malformed_request"
    first = text.partition("\n")[0]
    if "chunk" in first or "Content-Length" in first or "Transfer-Encoding" in first:
        return "framing", "malformed_request"
    return ("header" if "header" in first else "syntax"), "malformed_request"
