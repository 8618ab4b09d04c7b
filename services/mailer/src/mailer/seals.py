"""Opens what was sealed for the mailer: libsodium sealed boxes (X25519, XSalsa20-Poly1305), `<key id>.<base64url>`."""

import base64
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import TypeVar

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from events.keys import Keys

T = TypeVar("T", "Code", "Contact")


class Unreadable(Exception):
    """A seal does not open: damaged, or not made with the key that it names. Retrying cannot help."""


class KeyMissing(Exception):
    """A seal is made for a key that is not here yet: auth was given the new public key first."""


class Code(msgspec.Struct, frozen=True):
    """What a code's seal holds; `expires_at` is the code's."""

    recipient: str
    code: str
    expires_at: datetime


class Contact(msgspec.Struct, frozen=True):
    """What the seal around a person's address holds."""

    recipient: str


class Seals:
    """The mailer's private keys by key id."""

    def __init__(self, keys: Keys) -> None:
        self._boxes = {kid: SealedBox(PrivateKey(key)) for kid, key in keys.by_id.items()}
        self.current = keys.current

    def open_code(self, sealed: str) -> Code:
        """What a code's seal holds; raises `Unreadable` or `KeyMissing`, which never quote it."""
        return self._open(sealed, Code)

    def open_contact(self, sealed: str) -> Contact:
        """What the seal around an address holds; raises as above."""
        return self._open(sealed, Contact)

    def resealed(self, sealed: str) -> str:
        """What a seal holds, byte by byte, in a box for the current key; raises as above."""
        box = self._boxes[self.current].encrypt(self._content(sealed))
        return f"{self.current}.{base64.urlsafe_b64encode(box).decode().rstrip('=')}"

    def _open(self, sealed: str, kind: type[T]) -> T:
        try:
            content = msgspec.json.decode(self._content(sealed), type=kind)
            recipient = Address(addr_spec=content.recipient).addr_spec
            recipient.encode("ascii")  # auth takes no other address, and no header here could hold one
        except (ValueError, HeaderParseError, IndexError, msgspec.DecodeError) as error:
            raise Unreadable(f"the seal does not open: {type(error).__name__}") from None
        return msgspec.structs.replace(content, recipient=recipient)

    def _content(self, sealed: str) -> bytes:
        kid, _, text = sealed.partition(".")
        if not text:
            raise Unreadable("there is no seal")
        box = self._boxes.get(kid)
        if box is None:
            raise KeyMissing("sealed for a key that is not here")
        try:
            return box.decrypt(_decoded(text))
        except (CryptoError, ValueError) as error:
            raise Unreadable(f"the seal does not open: {type(error).__name__}") from None


def _decoded(text: str) -> bytes:
    """The bytes of base64url without padding; raises `ValueError`."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
