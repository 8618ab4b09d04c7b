"""Signs letters for the sender's domain (DKIM, RFC 6376), so that receivers can tell them from forged ones."""

from pathlib import Path
from typing import Final

import dkim

# RFC 8058 asks for the signature over both List-Unsubscribe headers; `From` twice, so that nobody can add a second one.
_SIGNED: Final = (
    b"From",
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"Auto-Submitted",
    b"List-Unsubscribe",
    b"List-Unsubscribe-Post",
    b"MIME-Version",
    b"Content-Type",
)


class BadKey(ValueError):
    """What should be an RSA private key in PEM is none; never quoted."""


class Dkim:
    """The key of a domain: its public half is in DNS at `<selector>._domainkey.<domain>`."""

    def __init__(self, key: bytes, selector: str, domain: str) -> None:
        self._key = key
        self._selector = selector.encode()
        self._domain = domain.encode()
        try:
            self.sign(b"From: a@b.example\r\n\r\nproof\r\n")
        except (dkim.DKIMException, ValueError) as error:
            raise BadKey(f"cannot sign: {type(error).__name__}") from None

    @classmethod
    def read(cls, file: str, selector: str, domain: str) -> "Dkim":
        """The key in a file; raises `BadKey` and `OSError`."""
        return cls(Path(file).read_bytes(), selector, domain)

    def sign(self, content: bytes) -> bytes:
        """A letter with its signature in front."""
        signature: bytes = dkim.sign(
            content,
            self._selector,
            self._domain,
            self._key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=list(_SIGNED),
        )
        return signature + content
