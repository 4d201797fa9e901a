"""Secrets at rest: AES-256-GCM for what must be read again, a keyed hash for what must only be compared.

The job's id is bound into each seal, so a sealed text moved to another job does not open. A plain hash of a
six-digit code is guessed in a second; hence the fingerprint is keyed (HMAC-SHA-256).
"""

import base64
import binascii
import contextlib
import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class SealError(Exception):
    """A key or a sealed text cannot be used. The message names the mend, and no secret."""


class Seal:
    """Seals and opens with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise SealError(
                f"the ledger's key has {len(key)} bytes instead of 32; make one with: openssl rand -base64 32"
            )
        self._aead = AESGCM(hmac.digest(key, b"orchestrator seal", "sha256"))
        self._fingerprint_key = hmac.digest(key, b"orchestrator fingerprint", "sha256")

    def __repr__(self) -> str:
        return "Seal(…)"

    def seal(self, job_id: str, secret: bytes) -> bytes:
        """Encrypt `secret` for this job. The same text seals differently each time."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret, job_id.encode())

    def open(self, job_id: str, sealed: bytes) -> bytes:
        """Decrypt.

        Raises `SealError` when the text was sealed with another key or for another job.
        """
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], job_id.encode())
        except (InvalidTag, ValueError):
            raise SealError(
                f"what job {job_id} has to say cannot be decrypted: was the ledger's key changed?"
            ) from None

    def fingerprint(self, content: bytes) -> bytes:
        """32 bytes that are equal for equal content, and tell nothing of it without the key."""
        return hmac.digest(self._fingerprint_key, content, sha256)


def parse_key(text: str) -> bytes:
    """A key as the configuration holds it: 32 bytes in base64.

    Raises `SealError`.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SealError("the ledger's key is not base64; make one with: openssl rand -base64 32") from None


def key_beside(ledger: Path) -> bytes:
    """The key in `<ledger>.key`, made with mode 0600 when there is none yet.

    Raises `SealError` when it cannot be read, or when the ledger is there and its key is not.
    """
    path = ledger.with_name(ledger.name + ".key")
    written = ledger.exists()  # looked at before the key, which another process may be making: it comes first
    try:
        return parse_key(path.read_text("ascii").strip())
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise SealError(f"{path} cannot be read: {error}. It must belong to the worker's user.") from None
    if written:
        raise SealError(f"{path} is missing, and {ledger} was written with it. Put it back from the backup.")
    try:
        _make_key(path)
    except OSError as error:
        raise SealError(f"{path} cannot be made: {error.strerror}.") from None
    return key_beside(ledger)


def _make_key(path: Path) -> None:
    """Make a key file, whole or not at all; the first of two processes makes it."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
