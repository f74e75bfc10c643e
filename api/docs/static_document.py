"""Static documents, the same for all clients, sent in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from aiohttp import Payload, web
from aiohttp.abc import AbstractStreamWriter

from api.http.conditional import is_known
from api.http.request import RequestContext

# The transport takes this much before it asks to wait. Half a megabyte at once would stay in memory for each client
# that does not read: 240 MB for 333 of them (loadtests/slow).
PIECE_BYTES = 64 * 1024
_FOR_MINUTES: Mapping[str, str] = {"Cache-Control": "public, max-age=300"}


class Document:
    """A text that does not change while the program runs.

    Attributes:
        headers: of every answer, also of 304.
        pieces: its bytes, shared by all answers.
    """

    def __init__(
        self, text: bytes, content_type: str = "application/json", headers: Mapping[str, str] = _FOR_MINUTES
    ) -> None:
        self.headers = headers
        self.size_bytes = len(text)
        self.content_type = content_type
        self.pieces = tuple(text[at : at + PIECE_BYTES] for at in range(0, len(text), PIECE_BYTES))
        self._tag = f'"{blake2b(text, digest_size=8).hexdigest()}"'

    def answer(self, context: RequestContext, *, tagged: bool = True) -> web.Response:
        """Answer with the document, or with 304. `tagged`: not in version 1, which has no tags.

        Raises:
            Problem: `malformed_request`, for an invalid If-None-Match.
        """
        headers = dict(self.headers)
        if tagged:
            headers["ETag"] = self._tag
            if is_known(context, self._tag):
                return web.Response(status=304, headers=headers)
        return web.Response(body=_Pieces(self), headers=headers)


class _Pieces(Payload):
    """Payload of a document for one client: the next piece is written when there is room."""

    def __init__(self, document: Document) -> None:
        super().__init__(document, content_type=document.content_type)
        self._document = document

    @property
    def size(self) -> int:
        """Size of the whole text."""
        return self._document.size_bytes

    @property
    def autoclose(self) -> bool:
        """True, because there is nothing to close."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The whole text."""
        return b"".join(self._document.pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the document. When cancelled or cut off, the rest is not written, and the connection closes."""
        for piece in self._document.pieces:
            await writer.write(piece)
