"""What an owner answers to a message that it cannot read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.cluster.codec import Codec, UndecodableValue
from actors.cluster.forwarding import EPOCH_MIN, Forwarding
from actors.messages import ActorId
from actors.shards import shard_of
from dispatch.wire_types import TRAVELLERS


def test_command_that_only_a_newer_build_knows_is_refused_as_not_processed() -> None:
    sent: list[Any] = []
    peers = SimpleNamespace(send=lambda _, frame: sent.append(frame), counts={})
    forwarding = Forwarding(cast("Any", peers), cast("Any", None), Codec(TRAVELLERS), lambda: 0.0)
    to = ActorId("order", 5)
    owned: list[Any] = [None] * 256
    owned[shard_of(to)] = SimpleNamespace(epoch=EPOCH_MIN, first=EPOCH_MIN, parked=None)
    forwarding.runtime = cast("Any", SimpleNamespace(cells=SimpleNamespace(owned=owned)))
    ask = ["A", 9, *to, EPOCH_MIN, 1000, "command", "print", "trace", ["OfTomorrow", {"reason": "why"}]]
    with pytest.raises(UndecodableValue):
        forwarding.receive(cast("Any", None), ask)
    assert sent == [["F", 9, "Unavailable", "its owner does not know this command"]]
