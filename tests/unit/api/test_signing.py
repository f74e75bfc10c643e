"""Signatures of webhooks, judged by an independent library."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from api.outbound.signing import SECRET_BYTES, new_secret, shown_secret, signatures

BODY = '{"type":"order.created","data":{"name":"Äpfel"}}'.encode()


def _headers(keys: list[bytes], message: str = "evt_1", body: bytes = BODY) -> dict[str, str]:
    now = int(time.time())
    return {
        "webhook-id": message,
        "webhook-timestamp": str(now),
        "webhook-signature": signatures(keys, message, now, body),
    }


def test_receiver_accepts_what_is_signed_with_its_secret() -> None:
    secret = new_secret()
    assert len(secret) == SECRET_BYTES
    found = Webhook(shown_secret(secret)).verify(BODY.decode(), _headers([secret]))
    assert found["type"] == "order.created"


def test_receivers_with_the_old_and_with_the_new_secret_accept_it_while_both_sign() -> None:
    new, old = new_secret(), new_secret()
    for secret in (new, old):
        Webhook(shown_secret(secret)).verify(BODY.decode(), _headers([new, old]))


@pytest.mark.parametrize("changed", ["body", "id", "time", "secret"])
def test_receiver_refuses_what_was_changed(changed: str) -> None:
    secret, body = new_secret(), BODY.decode()
    headers = _headers([secret])
    if changed == "body":
        body = body.replace("created", "deleted")
    elif changed == "id":
        headers["webhook-id"] = "evt_2"
    elif changed == "time":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
    verifier = Webhook(shown_secret(new_secret() if changed == "secret" else secret))
    with pytest.raises(WebhookVerificationError):
        verifier.verify(body, headers)


def test_signature_is_the_one_of_the_specification() -> None:
    """The example of the Standard Webhooks libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signatures([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
