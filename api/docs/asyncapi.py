"""AsyncAPI document of the drivers' feed.

It is built from the models that check the frames of apps, and from the table of close codes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import orjson
from aiohttp import web
from pydantic.json_schema import models_json_schema

from api.auth.permissions import DOCUMENTS
from api.contract.problems import KINDS
from api.docs.feed_frames import HEARD_EXAMPLES, PARTS, SAID, SAID_EXAMPLES
from api.docs.openapi import BEARER
from api.docs.schemas import tightened
from api.docs.static_document import Document
from api.feed.frames import FRAME_BYTES_MAX, FRAMES
from api.feed.handshake import PROTOCOL
from api.feed.handshake import operations as of_feed
from api.http.operation import Operation, Operations
from api.http.request import RequestContext
from api.subscriptions.close_codes import REASONS

operations = Operations(Operation)

ADDRESS = "/api/v2/drivers/feed"
_REF = "#/components/schemas/{model}"
_ADVICE = {40: "stop", 41: "back off", 42: "reconnect and resume"}
_OVERVIEW = f"""\
A driver's app holds one WebSocket, subprotocol `{PROTOCOL}`. Every message is one JSON object in a text frame, at \
most {FRAME_BYTES_MAX} bytes; its member `t` says what it is.

The app opens with `hello`, within 10 s; the server answers with `welcome`, and with a snapshot or everything \
since the position that `hello` named. Entries of the log (`event`) come in order of `seq`, without gaps; the app \
acknowledges with `ack`. Commands carry an `id`, which their answer repeats, and a `key`: repeated with the same key, \
on any connection, a command has one effect and the same answer.
"""
# A schema has its frame's name: `Accept` is made from `AcceptFrame`.
_FRAME_NAME = re.compile(rb'"(#/components/schemas/)?([A-Z]\w*)Frame"')


def make_asyncapi() -> dict[str, Any]:
    """Build the document."""
    heard = sorted(FRAMES)
    messages = {f"app.{kind}": _heard(kind) for kind in heard} | {
        f"server.{name}": _said(name) for name in SAID
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mall Delivery Dispatch: the drivers' feed",
            "version": "1",
            "description": _OVERVIEW,
            "contact": {"name": "Whoever runs this server"},
            "license": {"name": "MIT"},
            "tags": [{"name": "drivers", "description": "For the apps of drivers."}],
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": _server("ws", "localhost:8080", "This server, where it is reached without a proxy."),
            "behind_tls": _server("wss", "mall.example", "The same behind a proxy that speaks TLS."),
        },
        "channels": {"feed": _channel(messages)},
        "operations": {
            **{f"hear.{kind}": _hearing(kind) for kind in heard},
            **{f"say.{name}": _saying(name) for name in SAID},
        },
        "components": {
            "messages": messages,
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": BEARER,
                "ticket": {
                    "type": "userPassword",
                    "description": "For browsers: a one-use ticket from POST /api/v2/realtime/tickets, in `hello`.",
                },
            },
        },
    }


def _server(protocol: str, host: str, about: str) -> dict[str, Any]:
    return {
        "host": "{host}",
        "protocol": protocol,
        "description": about,
        "variables": {"host": {"default": host, "description": "Host and port."}},
        "security": [{"$ref": "#/components/securitySchemes/bearer"}],
    }


def _server_schema(name: str) -> str:
    """The schema name of a server frame: `state.board` becomes ServerStateBoard, a valid name in every language."""
    return "Server" + "".join(part.title() for part in name.split("."))


def _schemas() -> dict[str, Any]:
    models = [(model, "validation") for model in FRAMES.values()]
    _, found = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    found = orjson.loads(_FRAME_NAME.sub(rb'"\1\2"', orjson.dumps(found)))
    said = {_server_schema(name): {"title": _server_schema(name), **schema} for name, schema in SAID.items()}
    return {**tightened(found["$defs"]), **PARTS, **said}


def _channel(messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": ADDRESS,
        "title": "The feed of one driver",
        "description": "Header `Sec-WebSocket-Protocol: "
        + PROTOCOL
        + "`, and `Authorization: Bearer …` or a ticket in "
        "the first frame. No query parameters.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
        "x-subprotocol": PROTOCOL,
        "x-refusals": [
            {"status": KINDS[code].status, "code": code} for code in of_feed["feed.open"].problems
        ],
        "x-close-codes": [
            {"code": code, "reason": reason, "action": _ADVICE[code // 100]}
            for code, reason in sorted(REASONS.items())
        ],
    }


def _heard(kind: str) -> dict[str, Any]:
    return {
        "name": kind,
        "title": f"The app says {kind}",
        "contentType": "application/json",
        "payload": {"$ref": _REF.format(model=FRAMES[kind].__name__.removesuffix("Frame"))},
        "examples": [{"name": "example", "payload": {"t": kind, **HEARD_EXAMPLES[kind]}}],
    }


def _said(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"The server says {name}",
        "contentType": "application/json",
        "payload": {"$ref": _REF.format(model=_server_schema(name))},
        "examples": [{"name": "example", "payload": SAID_EXAMPLES[name]}],
    }


def _in_channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/feed/messages/{name}"}


def _hearing(kind: str) -> dict[str, Any]:
    operation = {
        "action": "receive",
        "channel": {"$ref": "#/channels/feed"},
        "summary": f"Hear {kind}",
        "messages": [_in_channel(f"app.{kind}")],
    }
    answers = _ANSWERS.get(kind, ("reply", "error") if "key" in FRAMES[kind].model_fields else ())
    if answers:
        operation["reply"] = {
            "channel": {"$ref": "#/channels/feed"},
            "messages": [_in_channel(f"server.{name}") for name in answers],
        }
    return operation


# Answers to frames that are not commands.
_ANSWERS = {"hello": ("welcome", "error"), "ping": ("pong",), "auth.refresh": ("reply", "error")}


def _saying(name: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/feed"},
        "summary": f"Say {name}",
        "messages": [_in_channel(f"server.{name}")],
    }


@cache
def _document() -> Document:
    return Document(orjson.dumps(make_asyncapi()))


@operations.declare(
    "docs.asyncapi",
    "GET",
    "/api/v2/asyncapi.json",
    scope=None,
    limit=DOCUMENTS,
    quiet=True,
    summary="The document of the feed",
)
async def asyncapi(context: RequestContext) -> web.Response:
    """Serve the document."""
    return _document().answer(context)
