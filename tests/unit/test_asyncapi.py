"""The document of the feed says what frames are accepted and sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.docs.asyncapi import ADDRESS, make_asyncapi
from api.docs.feed_frames import HEARD_EXAMPLES, SAID, SAID_EXAMPLES, message_of
from api.docs.openapi import make_document
from api.feed.frames import FRAMES, decode_frame
from api.feed.handshake import operations
from api.subscriptions.close_codes import REASONS

DOCUMENT = make_asyncapi()


def conforms(frame: Any, name: str) -> None:
    payload = DOCUMENT["components"]["messages"][name]["payload"]
    Draft202012Validator({**payload, "components": DOCUMENT["components"]}).validate(frame)


def test_it_describes_the_route_that_opens_the_feed() -> None:
    [channel] = DOCUMENT["channels"].values()
    assert channel["address"] == ADDRESS
    assert ADDRESS in {route.path for route in operations}
    assert ADDRESS not in make_document(operations)["paths"]


def test_all_references_lead_somewhere() -> None:
    for path in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))):
        found: Any = DOCUMENT
        for step in path.split("/"):
            found = found[step]
        assert found


def test_every_message_is_heard_or_said_once_and_listed_in_the_channel() -> None:
    messages = DOCUMENT["components"]["messages"].keys()
    assert messages == {f"app.{t}" for t in FRAMES} | {f"server.{name}" for name in SAID}
    assert DOCUMENT["channels"]["feed"]["messages"].keys() == messages
    used = [message["$ref"] for op in DOCUMENT["operations"].values() for message in op["messages"]]
    assert sorted(used) == sorted(f"#/channels/feed/messages/{name}" for name in messages)
    actions = {name.split(".")[0]: op["action"] for name, op in DOCUMENT["operations"].items()}
    assert actions == {"hear": "receive", "say": "send"}


def test_commands_say_what_answers_them() -> None:
    for kind, model in FRAMES.items():
        answers = str(DOCUMENT["operations"][f"hear.{kind}"].get("reply"))
        assert ("server.reply" in answers) == ("key" in model.model_fields or kind == "auth.refresh")


@pytest.mark.parametrize("kind", FRAMES)
def test_the_example_of_a_frame_of_the_app_fits_and_is_understood(kind: str) -> None:
    frame = {"t": kind, **HEARD_EXAMPLES[kind]}
    conforms(frame, f"app.{kind}")
    assert type(decode_frame(json.dumps(frame).encode())) is FRAMES[kind]


@pytest.mark.parametrize("name", SAID)
def test_the_example_of_a_frame_of_the_server_fits_and_no_other_member_does(name: str) -> None:
    frame = SAID_EXAMPLES[name]
    conforms(frame, f"server.{name}")
    assert message_of(frame) == name
    validator = Draft202012Validator({**SAID[name], "components": DOCUMENT["components"]})
    assert not validator.is_valid({**frame, "more": 1})


def test_the_close_codes_are_those_that_the_server_closes_with() -> None:
    listed = DOCUMENT["channels"]["feed"]["x-close-codes"]
    assert {row["code"]: row["reason"] for row in listed} == REASONS
    assert {row["action"] for row in listed} == {"stop", "back off", "reconnect and resume"}
