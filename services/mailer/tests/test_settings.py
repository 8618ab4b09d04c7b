"""Settings are right before anything starts, or every wrong one is named."""

import pytest
from mailing import KEY, LINK_KEYS, text_of

from events.errors import BadSettings
from events.settings import read
from mailer.settings import Settings

RIGHT = {
    "DATABASE_URL": "postgres://localhost",
    "NATS_URL": "nats://localhost",
    "MAILER_PRIVATE_KEYS": f"k1:{text_of(bytes(KEY))}",
    "UNSUBSCRIBE_KEYS": LINK_KEYS,
    "FROM_EMAIL": "noreply@todo.example",
    "SMTP_SERVER": "mail.example",
    "JWKS_URL": "http://auth/.well-known/jwks.json",
    "ISSUER": "https://todo.example",
}


def test_production_posts_by_smtp_and_development_on_the_console():
    assert read(Settings, RIGHT).transport == "smtp"
    assert read(Settings, {**RIGHT, "APP_ENV": "development"}).transport == "console"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MAIL_TRANSPORT": "console"}, "console prints codes"),
        ({"FROM_EMAIL": ""}, "FROM_EMAIL is required"),
        ({"FROM_EMAIL": "nobody"}, "must make a sender"),
        ({"FROM_EMAIL": "noreply@한.example"}, "must make a sender"),
        ({"PRODUCT_NAME": "two\nlines"}, "must make a sender"),
        ({"PRODUCT_NAME": "two\x0blines"}, "must make a sender"),
        ({"SMTP_SERVER": ""}, "SMTP_SERVER is required"),
        ({"MAILER_PRIVATE_KEYS": "k1:c2hvcnQ"}, "MAILER_PRIVATE_KEYS must hold keys of 32 bytes"),
        ({"UNSUBSCRIBE_KEYS": "u1:c2hvcnQ"}, "UNSUBSCRIBE_KEYS must hold keys of 32 bytes"),
        ({"MAILER_PRIVATE_KEYS": ""}, "MAILER_PRIVATE_KEYS is required"),
        ({"SMTP_USERNAME": "u", "SMTP_STARTTLS": "false"}, "credentials never go over clear text"),
        ({"SMTP_CONNECTIONS": "0"}, "SMTP_CONNECTIONS"),
        ({"DKIM_SELECTOR": "mail"}, "DKIM_KEY_FILE and DKIM_SELECTOR go together"),
        ({"DKIM_SELECTOR": "mail", "DKIM_KEY_FILE": "/nowhere/key.pem"}, "DKIM_KEY_FILE is no file"),
        ({"SMTP_CA_FILE": "/nowhere/ca.pem"}, "SMTP_CA_FILE is no file"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, str], words: str):
    with pytest.raises(BadSettings, match=words):
        read(Settings, {**RIGHT, **changes})


def test_all_wrong_settings_are_told_at_once_and_no_secret_is():
    secret = "a secret that is no key"
    with pytest.raises(BadSettings) as raised:
        read(Settings, {**RIGHT, "MAILER_PRIVATE_KEYS": f"k1:{secret}", "SMTP_SERVER": "", "FROM_EMAIL": ""})
    assert all(name in str(raised.value) for name in ("MAILER_PRIVATE_KEYS", "SMTP_SERVER", "FROM_EMAIL"))
    assert secret not in str(raised.value)
