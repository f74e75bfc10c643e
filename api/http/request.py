"""RequestContext: one request as a handler sees it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import orjson
from aiohttp import HttpVersion11, web
from multidict import CIMultiDict
from pydantic import BaseModel

from actors.tracing import Span
from api.auth.access_tokens import Principal
from api.contract.json_body import BODY_BYTES_MAX, parse_body, parse_value
from api.contract.problems import EVERY_ANSWER, Fault, Problem, problem_response
from api.http.services import Services
from api.transport.errors import BrokenBody, SlowBody, WastefulBody, forget_frames
from dispatch.domain import ids
from dispatch.service import Caller
from storage.redis.limits import Allowance

Model = TypeVar("Model", bound=BaseModel)

# A slower body is an attack or comes over an unusable network.
BODY_S = 8.0
# More than any list has. A query with more repeats or invents names, and is refused without parsing.
QUERY_PARAMETERS_MAX = 20
# The content types of nearly all requests; the others are parsed.
_JSON_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})
# Content types of a PATCH: merge patch (RFC 7396), or JSON for clients that can send nothing else.
PATCH_TYPES = ("application/merge-patch+json", "application/json")
_JSON_ANSWER = CIMultiDict(
    {**EVERY_ANSWER, "Server": "mall", "Cache-Control": "no-store", "Content-Type": "application/json"}
)
_KEY = re.compile(r"[\x21-\x7e]{16,255}")
# Code for a missing resource, by the prefix of its id, where that is not `not_found`.
_UNKNOWN = {ids.ORDER: "order_not_found", ids.DRIVER: "driver_not_found"}


def _say_continue(request: web.BaseRequest) -> None:
    """Send `100 Continue` to a client that waits for it before it sends its body."""
    # HTTP/1.0 has no interim answers (RFC 9110, 10.1.1).
    if request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class RequestContext:
    """One request with its services, its caller and its parts.

    `allowance` is the result of the rate limits, for the headers of the answer; `span` is its span, where its trace is
    recorded.
    """

    __slots__ = ("about", "allowance", "code", "principal", "request", "services", "span", "trace")
    # Version of the API that the client uses.
    version = "2"

    def __init__(self, request: web.Request, services: Services, trace: str) -> None:
        self.request = request
        self.services = services
        self.trace = trace
        self.span: Span | None = None
        self.principal: Principal | None = None
        self.code = ""
        # Further ids for the request's log line, besides those in its path.
        self.about: dict[str, str] = {}
        self.allowance: Allowance | None = None

    @property
    def carried(self) -> str:
        """The trace as what the request causes carries it on: with its span, where it is recorded."""
        return self.trace if self.span is None else self.span.trace

    @property
    def who(self) -> Principal:
        """The caller; only on routes that require one."""
        assert self.principal is not None
        return self.principal

    def refuse(self, problem: Problem) -> web.Response:
        """The answer that raising the problem would produce."""
        self.code = problem.code
        return problem_response(problem, self.trace)

    async def body_bytes(self) -> bytes:
        """The raw body.

        Raises:
            Problem: the type is not application/json (or, for a PATCH, a merge patch), it is encoded, or cut off.
        """
        self._no_encoding()
        if self.request.headers.get("Content-Type") not in _JSON_TYPES:
            self._check_type()
        return await self._read()

    def _check_type(self) -> None:
        """Check a content type that is not one of the usual ones."""
        request = self.request
        patch = request.method == "PATCH"
        kinds = PATCH_TYPES if patch else ("application/json",)
        if request.content_type not in kinds or (request.charset or "utf-8").lower() != "utf-8":
            raise Problem(
                "unsupported_media_type",
                headers={"Accept-Patch" if patch else "Accept-Post": ", ".join(kinds)},
            )

    def _no_encoding(self) -> None:
        if "Content-Encoding" in self.request.headers:
            raise Problem("unsupported_media_type", "No content encoding is accepted.")

    async def _read(self) -> bytes:
        try:
            content = self.request.content
            if content.is_eof():  # it came together with the head
                data = content.read_nowait()
                if len(data) > BODY_BYTES_MAX:
                    raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, len(data))
                return data
            if "Expect" in self.request.headers:
                _say_continue(self.request)
            async with asyncio.timeout(BODY_S):
                return await self.request.read()
        except (TimeoutError, SlowBody) as error:
            forget_frames(error)
            raise Problem("request_timeout", headers={"Connection": "close"}) from None
        except WastefulBody as error:
            forget_frames(error)
            raise Problem("body_too_large", headers={"Connection": "close"}) from None
        except (ConnectionError, BrokenBody, web.RequestPayloadError) as error:
            forget_frames(error)
            # The client may be gone; the log must not report an internal error.
            raise Problem(
                "malformed_request", "The body broke off.", headers={"Connection": "close"}
            ) from None

    async def body(self, model: type[Model]) -> Model:
        """The body, parsed into its model.

        Raises:
            Problem: see api/contract/json_body.py.
        """
        return parse_body(model, await self.body_bytes())

    async def optional_body(self, model: type[Model]) -> Model:
        """The body, parsed into its model; a missing body counts as an empty object."""
        if not self.request.can_read_body:
            return parse_value(model, {}, "body")
        return await self.body(model)

    async def no_body(self) -> None:
        """Refuse a body where none is allowed.

        Raises:
            Problem: there is one.
        """
        if not self.request.can_read_body:
            return
        self._no_encoding()
        if await self._read():
            raise Problem("malformed_request", "This operation takes no body.")

    def query(self, model: type[Model]) -> Model:
        """The query parameters, parsed into their model; unknown and repeated ones are refused.

        Raises:
            Problem: see api/contract/json_body.py.
        """
        found: dict[str, str] = {}
        for name, value in self.request.query.items():
            if name in found:
                fault = Fault("query", name[:50], "repeated", "must be given once")
                raise Problem("invalid", faults=[fault])
            if len(found) == QUERY_PARAMETERS_MAX:
                fault = Fault(
                    "query",
                    name[:50],
                    "too_many",
                    f"is one of more than {QUERY_PARAMETERS_MAX}; leave it out",
                )
                raise Problem("invalid", faults=[fault])
            found[name] = value
        return parse_value(model, found, "query")

    def number(self, prefix: str, name: str = "id") -> int:
        """The number of the id in the path; a malformed id counts as not found."""
        number = ids.parse_id(prefix, self.request.match_info[name])
        if number is None:
            raise Problem(_UNKNOWN.get(prefix, "not_found"))
        return number

    def key(self, *, required: bool = False) -> str:
        """The Idempotency-Key: 16 to 255 visible ASCII characters, quoted or bare.

        Raises:
            Problem: malformed, repeated, or missing where it is required.
        """
        given = self.request.headers.getall("Idempotency-Key", [])
        if not given and not required:
            return ""
        key = given[0].strip() if len(given) == 1 else ""
        if len(key) >= 2 and key[0] == key[-1] == '"':
            key = key[1:-1]
        if _KEY.fullmatch(key) is None or '"' in key:
            raise Problem(
                "invalid_idempotency_key",
                "Send one Idempotency-Key of 16 to 255 visible ASCII characters.",
                faults=[
                    Fault("header", "Idempotency-Key", "format", "must be 16 to 255 visible ASCII characters")
                ],
            )
        return key

    def caller(self, key: str = "", body: bytes = b"") -> Caller:
        """The caller in dispatch's form.

        Without a client's key the command gets a fresh one, so that it can also be identified after a lost answer.
        """
        key = key or f"auto:{self.services.entropy.trace()}"
        return Caller(self.who.role, self.who.number, self.carried, key, body)


Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Build a JSON answer; private by default."""
    whole = _JSON_ANSWER.copy()
    if headers is not None:
        whole.update(headers)
    return web.Response(status=status, body=orjson.dumps(value), headers=whole)
