"""Keys as settings carry them: `kid:base64url` pairs, separated by commas. The first is current, all are accepted.

Rotation is three deployments, for while one rolls out its processes work beside those before it: put the new key at the
end, then in front, and drop the old one once nothing made with it is alive (docs/operations.md).
"""

import base64
import binascii
import re

import msgspec

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Keys(msgspec.Struct, frozen=True):
    """Secrets or public keys by their ids; `current` is the id of the one to make new things with."""

    current: str
    by_id: dict[str, bytes] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Keys({', '.join(self.by_id)})"

    @property
    def value(self) -> bytes:
        """The current key."""
        return self.by_id[self.current]


def read_keys(text: str, *, size: int) -> Keys:
    """The keys of a setting, each of exactly `size` bytes; raises `ValueError`, which never quotes a key."""
    pairs = [part.strip().partition(":") for part in text.split(",")]
    by_id = {kid: _decoded(value) for kid, _, value in pairs}
    if not all(_KEY_ID.fullmatch(kid) for kid in by_id) or len(by_id) < len(pairs):
        raise ValueError("must be a list of kid:base64url with distinct key ids, separated by commas")
    if any(len(key) != size for key in by_id.values()):
        raise ValueError(f"must hold keys of {size} bytes in base64url")
    return Keys(pairs[0][0], by_id)


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
