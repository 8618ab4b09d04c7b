"""The links that stop letters of a kind: who holds one needs no login, and nobody can make one without the key."""

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Final, get_args
from uuid import UUID

import msgspec

from events.catalog.mailer import NoticeKind
from events.keys import Keys

_MAC: Final = 16
_PURPOSE: Final = b"unsubscribe\0"
_KINDS: Final[dict[str, NoticeKind]] = {kind: kind for kind in get_args(NoticeKind)}


class Wish(msgspec.Struct, frozen=True):
    """Who wants no more letters of which kind."""

    user_id: UUID
    kind: NoticeKind


class Links:
    """Makes and reads `<base>/mail/unsubscribe/<token>`; a token is good for as long as its key is there."""

    def __init__(self, keys: Keys, base: str) -> None:
        self._keys = keys
        self._base = base.rstrip("/")

    def link(self, user_id: UUID, kind: NoticeKind) -> str:
        """The address that stops a person's letters of a kind, the same each time."""
        return f"{self._base}/mail/unsubscribe/{self.token(user_id, kind)}"

    def token(self, user_id: UUID, kind: NoticeKind) -> str:
        """What proves that a link is ours: `<key id>.<base64url>` of person, kind and HMAC-SHA-256."""
        kid = self._keys.current
        return f"{kid}.{_stamped(self._keys.by_id[kid], user_id.bytes + kind.encode())}"

    def read(self, token: str) -> Wish | None:
        """What a token stands for, None for one that is not ours to the letter."""
        kid, _, text = token.partition(".")
        key, body = self._keys.by_id.get(kid), _decoded(text)[:-_MAC]
        if key is None or not hmac.compare_digest(_stamped(key, body).encode(), text.encode()):
            return None
        kind = _KINDS.get(body[16:].decode("ascii", "replace"))
        return Wish(UUID(bytes=body[:16]), kind) if kind else None


def _stamped(key: bytes, body: bytes) -> str:
    mac = hmac.digest(key, _PURPOSE + body, sha256)[:_MAC]
    return base64.urlsafe_b64encode(body + mac).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
