"""How NATS is reached: where, as whom, and whose certificate is believed."""

import asyncio
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

import nats.errors
import nkeys
from msgspec import Struct
from nats.aio.client import Client

from events.line import Line


class Access(Struct, frozen=True):
    """What a connection needs to know.

    `url` may name several servers of one cluster, separated by commas. A user proves itself by the password in it, or
    by `nkey_seed`; its name there is then its inbox' alone. `tls://` speaks TLS or not at all; `ca_file` holds the
    authorities (PEM) to believe instead of the system's.
    """

    url: str
    nkey_seed: str = ""
    ca_file: str = ""

    def options(self, name: str) -> dict[str, Any]:
        """What nats-py's `connect` takes for it; `name` is what operators see. Raises `OSError` for a bad `ca_file`."""
        chosen: dict[str, Any] = {
            "servers": self.url.split(","),
            "name": name,
            "inbox_prefix": self.inbox_prefix(name),
            "allow_reconnect": False,
        }
        if self.nkey_seed:
            chosen["nkeys_seed_str"] = self.nkey_seed
        if self.ca_file:
            chosen["tls"] = ssl.create_default_context(cafile=self.ca_file)
        return chosen

    def inbox_prefix(self, name: str) -> str:
        """The inbox of a user, whose permissions allow no other: `_INBOX_<user>`, by the URL or else by `name`."""
        user = urlsplit(self.url.split(",", maxsplit=1)[0]).username or (name if self.nkey_seed else "")
        return f"_INBOX_{user}" if user else "_INBOX"


class StrictClient(Line):
    """A client that says nothing to a server without TLS where its URL asks for it; nats-py's own goes on in clear."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The way to the server."""
        # nats-py offers no public one to the socket.
        writer = getattr(self._transport, "_io_writer", None)
        return writer.transport if writer is not None else None

    def abort(self) -> None:
        """Let go of the server at once, whatever is unsent."""
        if self.transport is not None:
            self.transport.abort()
            # nats-py's close writes what is pending, which an aborted transport of Python 3.12 on does not survive.
            self._pending_data_size = 0

    def _connect_command(self) -> bytes:
        server, transport = self._current_server, self.transport
        is_secret = transport is not None and transport.get_extra_info("ssl_object") is not None
        if server is not None and server.uri.scheme == "tls" and not is_secret:
            raise nats.errors.Error("nats: the server offers no TLS, which the URL asks for")
        return bytes(super()._connect_command())


def make_seed() -> str:
    """The seed of a new user's nkey, `SU...`: a secret."""
    return bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)).decode()


def public_key(seed: str) -> str:
    """What the server's configuration says of a seed, `U...`."""
    return bytes(nkeys.from_seed(bytearray(seed.encode())).public_key).decode()


async def connect(access: Access, *, name: str, **options: Any) -> Client:
    """A connection of its own for one question; raises what nats-py raises, and `OSError` for a bad `ca_file`."""
    client = StrictClient()
    try:
        await client.connect(**access.options(name), **options)
    except BaseException:
        client.abort()  # nats-py leaves the socket of a failed try open
        raise
    return client
