"""Certificates are read where TLS is spoken, and are verified whatever was read."""

import ssl

import pytest

from api.outgoing import trust


@pytest.mark.parametrize("urls", [("https://auth.example/keys",), ("http://auth:8000", "HTTPS://mailer.example")])
def test_where_tls_is_spoken_the_public_authorities_are_trusted(urls: tuple[str, ...]) -> None:
    context = trust(*urls)
    assert context.get_ca_certs()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_where_nobody_speaks_tls_nobody_is_trusted() -> None:
    context = trust("http://auth:8000/keys", "http://todos:8000")
    assert context.get_ca_certs() == []
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
