"""What hides codes, addresses and signing keys: a box that only the mailer opens, keyed hashes and wraps at rest."""

import base64
import hmac
import secrets
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox
from nacl.secret import SecretBox

from events.catalog.auth import Locale
from events.keys import Keys


class CodeLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What `OtpRequested.sealed` holds: a box without its recipient could be redirected."""

    recipient: str
    code: str
    expires_at: datetime
    locale: Locale | None


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """What `UserRegistered.sealed_contact` holds."""

    recipient: str


def seal(keys: Keys, content: CodeLetter | Contact) -> str:
    """A libsodium sealed box to the mailer's current X25519 key, over JSON: `<kid>.<base64url>`."""
    box = SealedBox(PublicKey(keys.value)).encrypt(msgspec.json.encode(content))
    return f"{keys.current}.{base64.urlsafe_b64encode(box).decode().rstrip('=')}"


def wrap(keys: Keys, name: str, secret: bytes) -> str:
    """A libsodium secret box under our current key, over the secret and what it is called: `<kid>.<base64url>`."""
    box = SecretBox(keys.value).encrypt(name.encode() + b"\0" + secret)
    return f"{keys.current}.{base64.urlsafe_b64encode(box).decode().rstrip('=')}"


def unwrap(keys: Keys, name: str, wrapped: str) -> bytes | None:
    """The secret of that name; None under a key that is gone, and for what was wrapped under another name."""
    kid, _, text = wrapped.partition(".")
    try:
        content = SecretBox(keys.by_id[kid]).decrypt(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (KeyError, ValueError, CryptoError):
        return None
    called, _, secret = content.partition(b"\0")
    return secret if called == name.encode() else None


def new_code(length: int) -> str:
    """A fresh code of `length` digits, leading zeros kept."""
    return f"{secrets.randbelow(10**length):0{length}}"


class Peppers:
    """Keyed hashes. At rest a code is HMAC-SHA-256(pepper, challenge id + code), beside its pepper's id."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def hide(self, challenge_id: UUID, code: str) -> tuple[str, bytes]:
        """The pepper's id and the code's hash."""
        return self._keys.current, _mac(self._keys.value, challenge_id.bytes + code.encode())

    def matches(self, challenge_id: UUID, code: str, pepper: str, mac: bytes) -> bool:
        """Whether this is the hidden code, in constant time; False under a pepper that is gone."""
        key = self._keys.by_id.get(pepper)
        return key is not None and hmac.compare_digest(_mac(key, challenge_id.bytes + code.encode()), mac)

    def blind(self, purpose: str, text: str) -> bytes:
        """A name for an address that does not show it, for counters; a new current pepper starts them anew."""
        return _mac(self._keys.value, f"{purpose}\0{text}".encode())


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, sha256)
