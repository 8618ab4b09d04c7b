"""The settings of whoever uses PostgreSQL and NATS, and what production insists on: nobody reads along on the way."""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import nkeys
from msgspec import Struct

from events.access import Access

_HOW_ELSE = "or ALLOW_PLAINTEXT=true where something else encrypts"


class UsesDatabase(Struct, frozen=True, kw_only=True):
    """Settings with a database.

    - APP_ENV: development or production, which insists on TLS to what is not this machine
    - DATABASE_URL: PostgreSQL; `?sslmode=verify-full&sslrootcert=FILE` for TLS
    - ALLOW_PLAINTEXT: true where a service mesh encrypts instead
    """

    app_env: Literal["development", "production"] = "production"
    database_url: str
    allow_plaintext: bool = False

    def __post_init__(self) -> None:
        """Raise `ValueError` naming everything that is wrong."""
        if wrong := list(self._wrong()):
            raise ValueError("; ".join(wrong))

    @property
    def insists_on_tls(self) -> bool:
        """Whether what is not this machine must be spoken to by TLS."""
        return self.app_env == "production" and not self.allow_plaintext

    def _wrong(self) -> Iterator[str]:
        yield from wrong_database("DATABASE_URL", self.database_url, insist=self.insists_on_tls)


class UsesServers(UsesDatabase, frozen=True, kw_only=True):
    """Settings with a database and a broker, besides those of `UsesDatabase`.

    - NATS_URL: NATS, `tls://` for TLS; several servers of one cluster by commas
    - NATS_NKEY_SEED: the seed (`SU...`) of the user's nkey, instead of a password in NATS_URL
    - NATS_CA_FILE: certificate authorities to believe instead of the system's (PEM)
    """

    nats_url: str
    nats_nkey_seed: str = ""
    nats_ca_file: str = ""

    @property
    def nats(self) -> Access:
        """How the broker is reached."""
        return Access(self.nats_url, self.nats_nkey_seed, self.nats_ca_file)

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        yield from wrong_broker(self.nats, insist=self.insists_on_tls)


def wrong_database(name: str, url: str, *, insist: bool) -> Iterator[str]:
    """What is wrong with a database's URL, the setting `name`; `insist` on TLS for what is not this machine."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query))
    hosts = asked.get("host") or parts.netloc.rpartition("@")[2]
    if asked.get("sslrootcert") and not Path(asked["sslrootcert"]).is_file():
        yield f"{name}: sslrootcert is no file"
    if insist and asked.get("sslmode") != "verify-full" and not all(map(_is_here, hosts.split(","))):
        yield f"{name} must say sslmode=verify-full for a host that is not this machine, {_HOW_ELSE}"


def wrong_broker(access: Access, *, insist: bool) -> Iterator[str]:
    """What is wrong with the settings of a broker; `insist` on TLS for what is not this machine."""
    servers = [urlsplit(one if "://" in one else f"nats://{one}") for one in access.url.split(",")]
    if insist and not all(one.scheme == "tls" or _is_here(one.netloc.rpartition("@")[2]) for one in servers):
        yield f"NATS_URL must begin with tls:// for a host that is not this machine, {_HOW_ELSE}"
    if access.nkey_seed and not is_user_seed(access.nkey_seed):
        yield "NATS_NKEY_SEED must be the seed of a user's nkey, SU..."
    if access.ca_file and not Path(access.ca_file).is_file():
        yield "NATS_CA_FILE is no file"


def is_user_seed(text: str) -> bool:
    """Whether it is the seed of a user's nkey."""
    with suppress(nkeys.NkeysError, ValueError):
        kind, raw = nkeys.decode_seed(text.encode("ascii"))
        return bool(kind == nkeys.PREFIX_BYTE_USER and nkeys.encode_seed(raw, kind) == text.encode())  # its checksum
    return False


def _is_here(host: str) -> bool:
    """Whether a host, perhaps with a port, is this very machine: its loopback or a socket in its file system."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name in {"", "localhost"} or name.startswith(("/", "%2F", "%2f")):
        return True
    with suppress(ValueError):
        return ip_address(name).is_loopback
    return False
