"""Operation: the declaration of one endpoint of version 2, with all of its facts in one place.

To add an operation:

1. Write its handler in the module of its resource: `async def close(context: RequestContext) -> web.Response`.
2. Put the declaration above it, `@operations.declare("stores.close", "POST", "/api/v2/stores/{id}/closing", ...)`.
   `scope` and `limit` are from api/auth/permissions.py; `body` and `query` are pydantic models, with an example of the
   body; `answer` is a TypedDict (api/rest/answers.py) with an example in api/docs/examples.py, `problems` are codes of
   api/contract/problems.py.
3. A new module has `operations = Operations(Operation)` of its own and stands in the list of api/routes.py.
4. Its callers and their statuses stand in tests/acceptance/two_instances/matrix.py; a test requires them.

Routes, permissions, limits, the documents and version 1 read the declaration; there is no other table. An incomplete
one raises ValueError when its module is imported, so the server does not start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, field
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from aiohttp import web
from pydantic import BaseModel

from actors.values import frozen
from api.auth.permissions import ROLE_SCOPES, Access
from api.contract.problems import KINDS
from api.http.request import Handler
from storage.redis.limits import Policy

H = TypeVar("H", bound=Handler)
P = ParamSpec("P")

_NAME = re.compile(r"[a-z]+\.[a-z_]+")
_SCOPES = frozenset().union(*ROLE_SCOPES.values())
# In the order of the document.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_WITH_BODY = ("POST", "PUT", "PATCH")


@frozen
class Route:
    """A handler with its address and the checks that the pipeline makes before it.

    Attributes:
        handler: answers the request.
        operation: its name, a resource and a verb.
        method: HTTP method.
        path: as aiohttp's router takes it.
        scope: required of the caller; None: open to anybody.
        limit: rate limit that counts the request.
        query: model of its query parameters; without one they are refused.
        own_query: the handler reads the query itself.
        streams: it answers for as long as the client listens, so it has no deadline.
        quiet: a successful request gets no log line.
        prompt: everything that it waits for has a shorter deadline of its own.
        ticketed: a ticket in the query may stand for the token.
        shared: the handler reads the secret of a share link, in place of a token.
    """

    handler: Handler
    operation: str
    method: str
    path: str
    _: KW_ONLY
    scope: str | None
    limit: Policy | None
    query: type[BaseModel] | None = None
    own_query: bool = False
    streams: bool = False
    quiet: bool = False
    prompt: bool = False
    ticketed: bool = False
    shared: bool = False

    @property
    def access(self) -> Access:
        """Required scope and rate limit."""
        return Access(self.scope, self.limit)

    @property
    def resource(self) -> str:
        """The first part of its name."""
        return self.operation.partition(".")[0]

    @property
    def takes_query(self) -> bool:
        """True when the model or the handler reads its query parameters."""
        return self.own_query or self.query is not None


@frozen
class Operation(Route):
    """A declaration: a route with its description for the documents.

    Attributes:
        summary: one sentence.
        note: details beyond the summary.
        body: model of its body.
        body_example: an example that the model accepts.
        answer: type of the successful answer, whose name ends in `Answer`; None for an empty one.
        answer_example: members in which its example differs from that of the type.
        status: HTTP status of the successful answer.
        media: content type of the successful answer.
        problems: codes that are particular to this operation.
        key: whether it takes an Idempotency-Key.
        etag: whether the successful answer has an entity tag, and whether If-None-Match is compared with it.
        busy: rank among the operations of its resource; the router tries the busier ones first.
        takes: further request headers, by their names in docs/headers.py.
        also: other successful answers without a body: status and its meaning.
    """

    _: KW_ONLY
    summary: str
    note: str = ""
    body: type[BaseModel] | None = None
    body_example: Mapping[str, Any] | None = field(default=None, hash=False)
    answer: type[Any] | None = None
    answer_example: Mapping[str, Any] = field(default_factory=dict, hash=False)
    status: int = 200
    media: str = "application/json"
    problems: tuple[str, ...] = ()
    key: Literal["", "optional", "required"] = ""
    etag: Literal["", "sent", "compared"] = ""
    busy: int = 0
    takes: tuple[str, ...] = ()
    also: tuple[tuple[int, str], ...] = ()


def missing_of(declared: Operation) -> list[str]:
    """The parts that an incomplete declaration lacks."""
    unknown = sorted(set(declared.problems) - KINDS.keys())
    faults = {
        "a name like orders.create": _NAME.fullmatch(declared.operation) is None,
        "a path that begins with /": not declared.path.startswith("/"),
        f"a method of {', '.join(METHODS)}": declared.method not in METHODS,
        "a summary": not declared.summary.strip(),
        f"a scope that a role has, not {declared.scope}": declared.scope is not None
        and declared.scope not in _SCOPES,
        "a limit, as it has a scope": declared.scope is not None and declared.limit is None,
        "a method that has a body": declared.body is not None and declared.method not in _WITH_BODY,
        "an example of its body": (declared.body is None) != (declared.body_example is None),
        "a type of answers, whose name ends in Answer": not (
            declared.answer is None or declared.answer.__name__.endswith("Answer")
        ),
        "no answer, as its status is 204": declared.status == 204 and declared.answer is not None,
        f"problems that exist, not {', '.join(unknown)}": bool(unknown),
    }
    return [name for name, there in faults.items() if there]


class Operations(Generic[P]):
    """The operations of one module, in the order of their declarations.

    Args:
        make: `Operation`. mypy takes the parameters of `declare` from it: its fields without the handler.
    """

    def __init__(self, make: Callable[Concatenate[Handler, P], Operation]) -> None:
        self._make = make
        self._declared: dict[str, Operation] = {}

    def declare(self, *args: P.args, **said: P.kwargs) -> Callable[[H], H]:
        """Declare the operation of a handler: a decorator that returns the function unchanged.

        Raises:
            ValueError: the declaration is incomplete, or its name is taken.
        """

        def register(handler: H) -> H:
            made = self._make(handler, *args, **said)
            missing = missing_of(made)
            if made.operation in self._declared:
                missing.append("a name of its own")
            if missing:
                raise ValueError(f"the operation {made.operation} needs {'; '.join(missing)}")
            self._declared[made.operation] = made
            return handler

        return register

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._declared.values())

    def __getitem__(self, operation: str) -> Operation:
        return self._declared[operation]


# Operations of an application, for the document that describes them.
TABLE: web.AppKey[tuple[Operation, ...]] = web.AppKey("operations", tuple)
