"""Where a key is configured, letters are signed as receivers check it."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mailing import Post, registered
from mailserver import MailServer

from mailer.signature import BadKey, Dkim


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def dns(key: rsa.RSAPrivateKey) -> Callable[..., bytes | None]:
    """What the sender's domain publishes."""
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    return lambda name, timeout=5: record if name == b"mail._domainkey.todo.example." else None


async def test_a_letter_that_arrives_is_signed_over_its_body_and_its_headers(
    post: Post, server: MailServer, by_smtp: dict[str, Any], tmp_path: Path, key: rsa.RSAPrivateKey
):
    (tmp_path / "key.pem").write_bytes(pem(key))
    async with post.mailer(**by_smtp, dkim_key_file=str(tmp_path / "key.pem"), dkim_selector="mail"):
        await post.settled(await post.auth.say(registered()), "sent")
    [content] = server.contents
    assert dkim.verify(content, dnsfunc=dns(key))
    for changed in (
        content.replace(b"\r\n\r\n", b"\r\n\r\nmore\r\n", 1),
        content.replace(b"List-Unsubscribe-Post: List", b"List-Unsubscribe-Post: Lost"),
        content.replace(b" <https://issuer.test/", b" <https://eve.test/"),
        content.replace(b"From: ", b"From: eve@example.com\r\nFrom: "),
    ):
        assert changed != content
        assert not dkim.verify(changed, dnsfunc=dns(key))


async def test_without_a_key_nothing_is_signed(post: Post, server: MailServer, by_smtp: dict[str, Any]):
    async with post.mailer(**by_smtp):
        await post.settled(await post.auth.say(registered()), "sent")
    assert "DKIM-Signature" not in server.mails[0]


@pytest.mark.parametrize("text", [b"", b"a key that is none", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_key_is_said_at_once_and_never_quoted(text: bytes):
    with pytest.raises(BadKey) as raised:
        Dkim(text, "mail", "todo.example")
    assert text == b"" or text.decode() not in str(raised.value)
