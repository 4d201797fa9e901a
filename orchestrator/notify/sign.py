"""Standard Webhooks 1.0.0 signatures.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import binascii
import hmac
from collections.abc import Sequence

from orchestrator.notify.errors import SecretError

_PREFIX = "whsec_"
_MEND = "make one with: echo whsec_$(openssl rand -base64 32)"


def parse_secret(text: str) -> bytes:
    """The key of a `whsec_…` secret, 24 to 64 bytes. Raises SecretError, which never shows the secret."""
    if not text.startswith(_PREFIX):
        raise SecretError(f"a webhook secret must start with {_PREFIX}; {_MEND}")
    encoded = text[len(_PREFIX) :]
    try:
        key = binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        # `from None`: the cause might quote the secret.
        raise SecretError(f"a webhook secret must be base64 after {_PREFIX}; {_MEND}") from None
    if not 24 <= len(key) <= 64:
        raise SecretError(f"a webhook secret must hold 24 to 64 bytes, not {len(key)}; {_MEND}")
    return key


class Signer:
    """Signs with every secret given, so that a receiver may change from one to the next."""

    __slots__ = ("_keyed",)

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise SecretError(f"no webhook secret is set, and every webhook is signed; {_MEND}")
        # Keyed once and copied for each signature: half the time, and no other thread gets between.
        self._keyed = tuple(hmac.new(parse_secret(secret), digestmod="sha256") for secret in secrets)

    def __repr__(self) -> str:
        return f"Signer(<{len(self._keyed)} secrets>)"

    def headers(self, event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """The three headers of one attempt, made at `timestamp` (whole seconds since the epoch)."""
        signed = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
        signatures = []
        for keyed in self._keyed:
            copy = keyed.copy()
            copy.update(signed)
            signatures.append("v1," + binascii.b2a_base64(copy.digest(), newline=False).decode())
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signatures),
        }
