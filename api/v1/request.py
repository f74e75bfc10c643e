"""Request of version 1 in the form that handlers of version 2 use."""

from __future__ import annotations

from typing import Any, cast

from aiohttp import StreamReader, web
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy

from api.http.request import RequestContext
from api.http.services import Services
from api.v1.request_draft import Draft

# Larger than any body, so the reader never pauses the connection.
_BUFFER_BYTES = 1 << 20


class Forwarded:
    """Substitute for a web.Request.

    Path ids, query, headers and body are those of version 2, all other attributes are the original request's.
    """

    def __init__(
        self,
        origin: web.Request,
        headers: CIMultiDict[str],
        ids: dict[str, str],
        query: dict[str, str],
        data: bytes | None,
    ) -> None:
        self._origin = origin
        self._data = data or b""
        self.headers = CIMultiDictProxy(headers)
        self.match_info = ids
        self.query = MultiDictProxy(MultiDict(query))
        self.can_read_body = self.body_exists = data is not None
        self.content_length = len(self._data)
        assert origin.protocol is not None
        self.content = StreamReader(origin.protocol, _BUFFER_BYTES)
        self.content.feed_data(self._data)
        self.content.feed_eof()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._origin, name)

    async def read(self) -> bytes:
        """Read the body."""
        return self._data


class RequestContextV1(RequestContext):
    """Context of a version 1 request. `request` is the original until `forward` replaces it with its translation.

    Attributes:
        origin: the original request.
    """

    __slots__ = ("origin",)
    version = "1"

    def __init__(self, request: web.Request, services: Services, trace: str) -> None:
        super().__init__(request, services, trace)
        self.origin = request
        request[CALL] = self

    def draft(self, operation: str) -> Draft:
        """A draft with the headers of the request."""
        headers = CIMultiDict(self.origin.headers)
        return Draft(operation, headers, fresh_key=self.services.entropy.trace)

    def forward(self, draft: Draft, ids: dict[str, str]) -> None:
        """Replace the request by its translation."""
        data = draft.data()
        for name in ("Content-Length", "Transfer-Encoding"):
            draft.headers.popall(name, None)
        if data is not None:
            draft.headers["Content-Length"] = str(len(data))
        translated = Forwarded(self.origin, draft.headers, ids, draft.query, data)
        self.request = cast("web.Request", translated)


CALL: web.RequestKey[RequestContextV1] = web.RequestKey("call_v1", RequestContextV1)
