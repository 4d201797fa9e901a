"""Signatures, checked by the public Standard Webhooks library."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from orchestrator.notify.errors import SecretError
from orchestrator.notify.sign import Signer, parse_secret

KEYS = st.binary(min_size=24, max_size=64)


def secret(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@given(st.lists(KEYS, min_size=1, max_size=4), st.text(max_size=200), st.uuids())
def test_a_receiver_with_any_of_the_secrets_verifies(keys: list[bytes], text: str, id: object) -> None:
    body = text.encode()
    headers = Signer([secret(key) for key in keys]).headers(f"evt_{id}", int(time.time()), body)
    assert headers["webhook-id"] == f"evt_{id}"
    assert len(headers["webhook-signature"].split(" ")) == len(keys)
    for key in keys:
        Webhook(secret(key)).verify(body, headers, json_parse=False)


@given(KEYS, KEYS, st.binary(max_size=50))
def test_a_receiver_with_another_secret_or_another_body_does_not(
    key: bytes, other: bytes, body: bytes
) -> None:
    text = body.hex().encode()
    headers = Signer([secret(key)]).headers("evt_1", int(time.time()), text)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(key)).verify(text + b"x", headers, json_parse=False)
    if key != other:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret(other)).verify(text, headers, json_parse=False)


def test_the_published_example_gives_the_published_signature() -> None:
    # From the specification's reference libraries.
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "hunter2hunter2hunter2hunter2",
        "whsec_",
        "whsec_hunter2",
        "whsec_hunter2 hunter2 hunter2 hunter2 hunter2",
        "whsec_hunter2hunter2hunter2hunter2hunter2ü",
        "whsec_hunter2hunter2hunter2_hunter2-hunter2",
        secret(b"hunter2" * 3),
        secret(b"hunter2" * 10),
    ],
)
def test_a_bad_secret_is_refused_with_the_mend_and_never_shown(bad: str) -> None:
    with pytest.raises(SecretError, match="openssl rand") as caught:
        parse_secret(bad)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in repr(error)
        assert base64.b64encode(b"hunter2hunter2").decode()[:12] not in repr(error)
        error = error.__cause__
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_no_secret_at_all_is_refused() -> None:
    with pytest.raises(SecretError, match="every webhook is signed"):
        Signer([])


def test_a_signer_does_not_show_its_keys() -> None:
    assert repr(Signer([secret(b"hunter2" * 4)])) == "Signer(<1 secrets>)"


def test_missing_padding_is_forgiven() -> None:
    key = bytes(range(32))
    assert parse_secret(secret(key).rstrip("=")) == key
