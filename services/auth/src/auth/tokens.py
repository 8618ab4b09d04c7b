"""What people carry: access tokens (JWT), refresh tokens and device tokens (opaque, authenticated by a server key)."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, TypedDict
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from auth.keyring import LIFETIME, Keyring
from events.ids import uuid7
from events.keys import Keys

_MAC: Final = 32


class Jwk(TypedDict):
    """A public key (RFC 8037)."""

    kty: str
    crv: str
    alg: str
    use: str
    kid: str
    x: str


class KeySet(TypedDict):
    """The keys that verify access tokens (RFC 7517)."""

    keys: list[Jwk]


class Configuration(TypedDict):
    """Where the keys are."""

    issuer: str
    jwks_uri: str
    id_token_signing_alg_values_supported: list[str]
    subject_types_supported: list[str]
    response_types_supported: list[str]


class AccessTokens:
    """Signs access tokens (RFC 9068, EdDSA by Ed25519) and publishes the keys that verify them (RFC 7517, RFC 8037)."""

    def __init__(self, keys: Keyring, *, issuer: str, audience: str) -> None:
        self.keys = keys
        self._issuer = issuer
        self._audience = audience

    def sign(self, user_id: UUID, session_id: UUID, roles: Sequence[str], locale: str | None, now: datetime) -> str:
        """A token that lives for `LIFETIME`; raises `Problem` (503) before the keys were read."""
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "roles": list(roles),
            "jti": str(uuid7()),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
        }
        if locale is not None:
            claims["locale"] = locale
        key = self.keys.signer()
        headers = {"typ": "at+jwt", "kid": key.kid}
        return jwt.encode(claims, key.private, algorithm="EdDSA", headers=headers)

    def jwks(self) -> KeySet:
        """The key set that everybody may see."""
        return {"keys": [_published(key.kid, key.private) for key in self.keys.published()]}


def _published(kid: str, key: Ed25519PrivateKey) -> Jwk:
    x = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": _text(x)}


class RefreshToken(Struct, frozen=True):
    """A refresh token of ours: which session, which generation of its family, the text that the person holds."""

    session_id: UUID
    generation: int
    text: str

    @property
    def hash(self) -> bytes:
        """What is kept of it."""
        return sha256(self.text.encode()).digest()


class RefreshTokens:
    """Makes and recognises refresh tokens. A child follows from its parent and a server key, so a retry repeats it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def first(self, session_id: UUID) -> RefreshToken:
        """The head of a new family."""
        return self._made(self._keys.current, session_id, 0, secrets.token_bytes(16))

    def child(self, parent: RefreshToken) -> RefreshToken:
        """What `parent` is exchanged for."""
        return next(self.children(parent))

    def children(self, parent: RefreshToken) -> Iterator[RefreshToken]:
        """The child under each key, the current one first: a retry may come after a rotation of keys."""
        for kid, key in self._keys.by_id.items():
            nonce = hmac.digest(key, b"child\0" + parent.text.encode(), sha256)[:16]
            yield self._made(kid, parent.session_id, parent.generation + 1, nonce)

    def read(self, text: str) -> RefreshToken | None:
        """The token, None for what this service never made."""
        body = _open(self._keys, text, b"refresh\0")
        if body is None or len(body) != 36:
            return None
        return RefreshToken(UUID(bytes=body[:16]), int.from_bytes(body[16:20], "big"), text)

    def _made(self, kid: str, session_id: UUID, generation: int, nonce: bytes) -> RefreshToken:
        body = session_id.bytes + generation.to_bytes(4, "big") + nonce
        return RefreshToken(session_id, generation, _stamp(self._keys, kid, body, b"refresh\0"))


class DeviceTokens:
    """Says that a device once signed in to an address; lets it in while strangers' guesses lock the address."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def issue(self, email: str) -> str:
        """A token for a device that just signed in."""
        return _stamp(self._keys, self._keys.current, secrets.token_bytes(16), _device(email))

    def knows(self, email: str, text: str | None) -> bool:
        """Whether this token was issued for this address."""
        return text is not None and _open(self._keys, text, _device(email)) is not None


def _device(email: str) -> bytes:
    return b"device\0" + email.encode() + b"\0"


def _stamp(keys: Keys, kid: str, body: bytes, purpose: bytes) -> str:
    return f"{kid}.{_text(body + hmac.digest(keys.by_id[kid], purpose + body, sha256))}"


def _open(keys: Keys, text: str, purpose: bytes) -> bytes | None:
    """The body of a stamped text, None where the stamp is not ours. The text must be exactly as it was made."""
    kid, _, encoded = text.partition(".")
    key = keys.by_id.get(kid)
    try:
        raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        return None
    if key is None or len(raw) <= _MAC or _text(raw) != encoded:
        return None
    body, mac = raw[:-_MAC], raw[-_MAC:]
    return body if hmac.compare_digest(hmac.digest(key, purpose + body, sha256), mac) else None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
