"""aiohttp's internals: every private or undocumented part that the product uses, and the shape that it must have.

No other module imports a private module of aiohttp or touches a private attribute of its objects; a subclass touches
only attributes that are listed here (tests/house/test_seam.py). The import fails with a list of all that is missing, so
an incompatible version of aiohttp is refused at start and not found by a request. The stock server (`stock.py`) does
not import this module. README.md says what each part saves.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

import aiohttp
from aiohttp import StreamReader, web

__all__ = [
    "INSIDES", "VERSION", "BadHttpMethod", "BadStatusLine", "InsidesChanged", "InvalidHeader", "InvalidURLError",
    "LineTooLong", "RawRequestMessage", "TransferEncodingError", "Unparsed", "WebSocketDataQueue", "WebSocketReader",
    "answer_as_http_11", "check", "http_date", "is_upgrade", "make_request", "missing", "name_server", "options_of",
    "serialize_headers", "written_bytes",
]  # fmt: skip

# The version that the shapes below were read in; setup.cfg pins it.
VERSION = "3.14.5"

# The key is a module or `module:Class`. The value None stands for an attribute, a text for the parameters of a
# method, after `async` for a coroutine function.
INSIDES: Mapping[str, Mapping[str, str | None]] = {
    "aiohttp.base_protocol:BaseProtocol": {
        "_loop": None,
        "_parser": None,  # of heads and bodies; None after the connection is lost
        "_paused": None,  # the transport's buffer is full
        "_reading_paused": None,  # from pause_reading() until resume_reading(); the queue of a WebSocket asks it, too
        "_buffer_paused": None,  # too many pipelined requests wait
        "transport": None,  # None as soon as the connection begins to close
        "pause_reading": "self",
        "resume_reading": "self resume_parser",
        "_resume_transport_reading": "self",
        "_drain_helper": "async self",
    },
    "aiohttp.web_protocol:RequestHandler": {
        "start": "async self",
        "_waiter": None,  # the future in which start() waits for a request; None while it answers one
        "_messages": None,  # parsed heads, with their bodies, that wait for start()
        "_current_request": None,
        "_request_in_progress": None,
        "_request_count": None,  # heads that were parsed
        "_request_factory": None,
        "_request_handler": None,  # of the application; start() takes another one for malformed requests
        "_handler_waiter": None,  # shutdown() waits in it for the request under way
        "_payload_parser": None,  # set on a WebSocket
        "_close": None,
        "_force_close": None,
        "_keepalive": None,
        "_keepalive_handle": None,
        "_keepalive_timeout": None,
        "_next_keepalive_close_time": None,
        "_lingering_time": None,
        "_process_keepalive": "self",
        "_handle_request": "async self request start_time request_handler",
        "_make_error_handler": "self err_info",
        "finish_response": "async self request resp start_time",
        "handle_error": "self request status exc message",
        "data_received": "self data",
        "connection_lost": "self exc",
        "set_parser": "self parser data_received_cb",
        "keep_alive": "self val",
        "close": "self",
        "force_close": "self",
    },
    # Takes the place of a head that cannot be parsed.
    "aiohttp.web_protocol:_ErrInfo": {"exc": None},
    "aiohttp.web_app:Application": {"_make_request": "self message payload protocol writer task _cls"},
    "aiohttp.web_server:Server": {
        "_loop": None,
        "_kwargs": None,  # the options of its connections
        "requests_count": None,
        "request_handler": None,
        "request_factory": None,
        "__call__": "self",
    },
    "aiohttp.web_runner:AppRunner": {"_make_server": "async self"},
    "aiohttp.web_request:BaseRequest": {
        "_message": None,  # the parsed head
        "_payload_writer": None,
        "_cache": None,  # holds `version` under that name
    },
    "aiohttp.web_request:Request": {"_match_info": None},
    "aiohttp.streams:StreamReader": {
        "total_bytes": None,
        "is_eof": "self",
        "feed_eof": "self",
        "set_exception": "self exc exc_cause",
    },
    "aiohttp.http_parser:RawRequestMessage": {
        "method": None, "path": None, "version": None, "headers": None, "should_close": None, "upgrade": None,
    },
    "aiohttp.http_parser:HttpRequestParser": {"message_consumed": "self"},
    "aiohttp.http_exceptions": {
        "BadHttpMethod": None, "BadStatusLine": None, "InvalidHeader": None, "InvalidURLError": None,
        "TransferEncodingError": None,
    },
    # `args` are its parameters, so the second is the limit.
    "aiohttp.http_exceptions:LineTooLong": {"__init__": "self line limit actual_size"},
    "aiohttp.http_writer": {"_serialize_headers": "status_line headers"},
    "aiohttp.http_writer:StreamWriter": {"output_size": None},
    "aiohttp.helpers": {"rfc822_formatted_time": ""},
    "aiohttp.web_response": {"SERVER_SOFTWARE": None},
    "aiohttp.web_ws:WebSocketResponse": {
        "_ws_protocol": None,
        "_writer": None,
        "_loop": None,
        "_reader": None,  # the queue that receive() reads
        "_parser": None,  # keeps the reader of frames alive
        "_max_msg_size": None,
        "_post_start": "self request protocol writer",
    },
    "aiohttp._websocket.writer:WebSocketWriter": {"transport": None},
    "aiohttp._websocket.reader:WebSocketDataQueue": {"_buffer": None, "feed_data": "self data size"},
    "aiohttp._websocket.reader:WebSocketReader": {"feed_data": "self data", "feed_eof": "self"},
    # Compiled constructors show no parameters; these Python classes come from the same source.
    "aiohttp._websocket.reader_py:WebSocketDataQueue": {"__init__": "self protocol limit loop"},
    "aiohttp._websocket.reader_py:WebSocketReader": {
        "__init__": "self queue max_msg_size compress decode_text"
    },
}  # fmt: skip


class InsidesChanged(ImportError):
    """The installed aiohttp differs from the one the fast path was written for; the message lists what is missing."""


def _owner(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    return getattr(found, name, None) if name else found


def _has_attribute(owner: Any, name: str) -> bool:
    """True when the class has the attribute, or when its instances get it in `__init__`."""
    if hasattr(owner, name):
        return True
    if not getattr(owner, "__dictoffset__", 0):
        return False  # a class with slots lists all of its attributes
    makers = [
        vars(base)["__init__"] for base in owner.__mro__ if inspect.isfunction(vars(base).get("__init__"))
    ]
    return any(re.search(rf"\bself\.{name}\b", inspect.getsource(maker)) for maker in makers)


def _shape(method: Any) -> str:
    """The parameters of a method, in the notation of the table."""
    names = " ".join(inspect.signature(method).parameters)
    return f"async {names}" if inspect.iscoroutinefunction(method) else names


def missing(insides: Mapping[str, Mapping[str, str | None]] = INSIDES) -> Iterator[str]:
    """Entries of the table that are missing or have another shape, one line each."""
    for path, parts in insides.items():
        owner = _owner(path)
        if owner is None:
            yield f"{path} is not there"
            continue
        for name, shape in parts.items():
            full = f"{path}{'.' if ':' in path else ':'}{name}"
            if not _has_attribute(owner, name):
                yield f"{full} is not there"
            elif shape is not None and _shape(getattr(owner, name)) != shape:
                yield f"{full} has the parameters ({_shape(getattr(owner, name))}), expected were ({shape})"


def check() -> None:
    """Compare the installed aiohttp with the table.

    Raises:
        InsidesChanged: with every difference.
    """
    lines = list(missing())
    if lines:
        raise InsidesChanged(
            "\n  ".join(
                [
                    f"the fast path needs the insides of aiohttp {VERSION}, and {aiohttp.__version__} is installed:",
                    *lines,
                    f"Install aiohttp {VERSION}, or set MALL_FAST_PATH=off (api/transport/README.md).",
                ]
            )
        )


check()

# After the check, so that its full message comes before an ImportError about a single name.
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader  # noqa: E402
from aiohttp.helpers import rfc822_formatted_time as http_date  # noqa: E402
from aiohttp.http_exceptions import (  # noqa: E402
    BadHttpMethod,
    BadStatusLine,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
    TransferEncodingError,
)
from aiohttp.http_parser import RawRequestMessage  # noqa: E402
from aiohttp.http_writer import _serialize_headers as serialize_headers  # noqa: E402
from aiohttp.web_protocol import _ErrInfo as Unparsed  # noqa: E402

# True for an upgrade and for CONNECT: the parser stops after the head.
is_upgrade = attrgetter("_message.upgrade")


def make_request(
    connection: web.RequestHandler, message: RawRequestMessage, payload: StreamReader, match: object
) -> web.Request:
    """A request with a route match, without a writer and without a task: its answer cannot stream."""
    # `Application._make_request`.
    request: Any = connection._request_factory(message, payload, connection, None, None)  # type: ignore[misc,arg-type]
    request._match_info = match
    return request  # type: ignore[no-any-return]


def written_bytes(request: web.BaseRequest | None) -> int:
    """Bytes of the answer that are written already; 0 for a request without a writer."""
    writer: Any = None if request is None else request._payload_writer
    return 0 if writer is None else int(writer.output_size)


def answer_as_http_11(request: web.BaseRequest) -> None:
    """Make the answer to a request that could not be parsed HTTP/1.1; aiohttp assumes HTTP/1.0."""
    request._cache["version"] = aiohttp.HttpVersion11


def options_of(server: web.Server) -> dict[str, Any]:
    """The options that a server gives each of its connections."""
    return server._kwargs


def name_server(name: str) -> None:
    """Set the Server field of answers that do not come from our applications."""
    importlib.import_module("aiohttp.web_response").SERVER_SOFTWARE = name  # type: ignore[attr-defined]
