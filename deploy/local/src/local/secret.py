"""The stack's secrets: made once, kept in a private file."""

import base64
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec
from nacl.public import PrivateKey

from events.access import make_seed, public_key
from local.cluster import READERS
from local.layout import SERVICES

_RANDOM = (
    "KEY_WRAPPING_KEYS",
    "REFRESH_KEYS",
    "OTP_PEPPERS",
    "DEVICE_KEYS",
    "UNSUBSCRIBE_KEYS",
    "PHONE_KEYS",
    "SEAL_KEYS",
)


class Secrets(msgspec.Struct, frozen=True):
    """Passwords by role or user, what services read from their environment (lists of `kid:base64url`), seeds of nkeys.

    A service proves itself to NATS by its nkey; the password it has there, too, is for its earlier versions.
    """

    postgres: dict[str, str]
    nats: dict[str, str]
    keys: dict[str, str]
    nkeys: dict[str, str] = {}

    @property
    def public_nkeys(self) -> dict[str, tuple[str, ...]]:
        """What NATS knows of each service."""
        return {service: (public_key(seed),) for service, seed in self.nkeys.items()}

    def nats_login(self, user: str) -> str:
        """What a URL says of a user, before the `@`: who has an nkey proves itself by that."""
        return user if user in self.nkeys else f"{user}:{self.nats[user]}"

    def nats_password(self, user: str, *, earlier: bool = False) -> str:
        """A user's password; none for a service, unless `earlier` versions shall run beside."""
        return self.nats[user] if earlier or user not in self.nkeys else ""


def load_or_make(path: Path, guests: Iterable[str] = ()) -> Secrets:
    """The secrets in `path`; what is missing there (a first start, a new service or guest) is made and kept."""
    known = msgspec.json.decode(path.read_bytes(), type=Secrets) if path.exists() else Secrets({}, {}, {})
    services = (*SERVICES, *guests)
    roles = ["postgres", *services, *(f"{service}_owner" for service in services), *READERS.values()]
    complete = Secrets(
        {role: secrets.token_hex(16) for role in roles} | known.postgres,
        {user: secrets.token_hex(16) for user in ("admin", *services)} | known.nats,
        _keys() | known.keys,
        {service: make_seed() for service in services} | known.nkeys,
    )
    if complete != known:
        write_private(path, msgspec.json.format(msgspec.json.encode(complete)))
    return complete


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_bytes(content)
    draft.replace(path)


def _keys() -> dict[str, str]:
    box = PrivateKey.generate()
    kid = secrets.token_hex(4)
    return {name: _key(secrets.token_bytes(32)) for name in _RANDOM} | {
        "MAILER_PRIVATE_KEYS": _key(bytes(box), kid),
        "MAILER_PUBLIC_KEYS": _key(bytes(box.public_key), kid),
    }


def _key(value: bytes, kid: str | None = None) -> str:
    return f"{kid or secrets.token_hex(4)}:{base64.urlsafe_b64encode(value).decode().rstrip('=')}"
