"""Web Push (RFC 8030): encrypted for the browser (RFC 8291), signed with our VAPID key (RFC 8292)."""

import base64
import os
import struct
from typing import Final
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events.clock import Clock
from notifier.providers import Mark, Push, Refused, Target, Unregistered, not_now, posted

RECORD: Final = 4096
TOKEN_LIFE: Final = 12 * 3600
CURVE: Final = ec.SECP256R1()


def is_key(text: str) -> bool:
    """Whether this is a private key as `WebPush` takes it."""
    try:
        raw = unbase64(text)
        ec.derive_private_key(int.from_bytes(raw), CURVE)
    except ValueError:
        return False
    return len(raw) == 32


class WebPush:
    """Pushes to browsers; `key` is the VAPID private key (32 bytes, base64url), `contact` a mailto: or https: URL."""

    def __init__(self, client: httpx.AsyncClient, key: str, contact: str, clock: Clock) -> None:
        self._client = client
        self._key = ec.derive_private_key(int.from_bytes(unbase64(key)), CURVE)
        self._contact = contact
        self._clock = clock

    @property
    def public_key(self) -> str:
        """What a browser subscribes with (`applicationServerKey`)."""
        return base64url(_point(self._key.public_key()))

    async def send(self, target: Target, push: Push, mark: Mark) -> None:
        """Push once; raises what `notifier.providers` names."""
        said = {"id": push.tag, "kind": push.kind, "title": push.words.title, "body": push.words.body}
        try:
            body = encrypt(msgspec.json.encode(said), unbase64(target.p256dh), unbase64(target.auth))
        except ValueError:
            raise Refused("the subscription's keys are none") from None
        headers = {
            "authorization": f"vapid t={self._token(target.address)}, k={self.public_key}",
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(push.lives),
            "topic": push.tag.replace("-", ""),
        }
        request = self._client.build_request("POST", target.address, content=body, headers=headers)
        answer = await posted(self._client, mark, request)
        if answer.status_code in {404, 410}:
            raise Unregistered(str(answer.status_code))
        if answer.status_code in {401, 403, 429} or answer.status_code >= 500:
            raise not_now(answer)
        if not answer.is_success:
            raise Refused(str(answer.status_code))

    def _token(self, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        expires = int(self._clock().timestamp()) + TOKEN_LIFE
        claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": expires, "sub": self._contact}
        return jwt.encode(claims, self._key, algorithm="ES256")


def encrypt(
    text: bytes, receiver: bytes, auth: bytes, *, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes = b""
) -> bytes:
    """A body in one record (RFC 8188) for a browser's public key and its secret; raises `ValueError` for bad keys.

    `key` and `salt` are fresh each time; only RFC 8291's example names them.
    """
    key, salt = key or ec.generate_private_key(CURVE), salt or os.urandom(16)
    theirs, ours = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, receiver), _point(key.public_key())
    shared = _derive(key.exchange(ec.ECDH(), theirs), auth, b"WebPush: info\0" + receiver + ours, 32)
    content_key = _derive(shared, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(shared, salt, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(content_key).encrypt(nonce, text + b"\x02", None)
    return salt + struct.pack("!IB", RECORD, len(ours)) + ours + sealed


def base64url(raw: bytes) -> str:
    """Without padding, as RFC 7515 has it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unbase64(text: str) -> bytes:
    """The bytes of base64url, with or without padding; raises `ValueError`."""
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
