"""Settings are right before anything starts, or every wrong one is named."""

import pytest
from providing import VAPID_KEY, Played

from events.errors import BadSettings
from events.settings import read
from notifier.settings import Settings

RIGHT = {
    "DATABASE_URL": "postgres://localhost",
    "NATS_URL": "nats://localhost",
    "JWKS_URL": "http://auth/.well-known/jwks.json",
    "ISSUER": "https://todo.example",
    "VAPID_PRIVATE_KEY": VAPID_KEY,
    "VAPID_CONTACT": "mailto:ops@todo.example",
    "FCM_ACCOUNT": Played("https://oauth2.googleapis.com").account,
    "SMS_ACCOUNT_SID": "AC1",
    "SMS_AUTH_TOKEN": "secret",
    "SMS_FROM": "+15005550006",
    "PHONE_KEYS": f"p1:{'A' * 43}",
}


def test_without_a_provider_nothing_is_needed_for_it() -> None:
    needed = {name: RIGHT[name] for name in ("DATABASE_URL", "NATS_URL", "JWKS_URL", "ISSUER")}
    assert (read(Settings, needed).phone_key, read(Settings, needed).code_keys) == (None, ())
    assert (read(Settings, RIGHT).phone_key, read(Settings, RIGHT).code_keys) == (bytes(32), (bytes(32),))


def test_of_several_keys_the_first_makes_codes_whatever_they_are_called() -> None:
    keys = {"PHONE_KEYS": f"p9:{'A' * 42}E,p1:{'A' * 43}"}
    assert read(Settings, {**RIGHT, **keys}).code_keys == (bytes(31) + b"\x01", bytes(32))


def test_given_no_countries_all_are_served_and_given_some_these() -> None:
    assert read(Settings, RIGHT).countries == frozenset()
    assert read(Settings, {**RIGHT, "SMS_COUNTRIES": "KR,US"}).countries == {"KR", "US"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"VAPID_CONTACT": ""}, "VAPID_CONTACT must be a mailto: or https: URL"),
        ({"VAPID_PRIVATE_KEY": "c2hvcnQ"}, "VAPID_PRIVATE_KEY must be a P-256 key"),
        ({"VAPID_PRIVATE_KEY": "A" * 43}, "VAPID_PRIVATE_KEY must be a P-256 key"),
        ({"FCM_ACCOUNT": "/etc/account.json"}, "FCM_ACCOUNT must be the JSON"),
        ({"FCM_ACCOUNT": '{"project_id": "p"}'}, "FCM_ACCOUNT must be the JSON"),
        ({"SMS_AUTH_TOKEN": ""}, "SMS_ACCOUNT_SID, SMS_AUTH_TOKEN and SMS_FROM go together"),
        ({"SMS_PER_DAY": "0"}, "SMS_PER_DAY"),
        ({"SMS_COUNTRIES": "KR,Korea"}, "SMS_COUNTRIES must be regions"),
        ({"SMS_COUNTRIES": "UK"}, "SMS_COUNTRIES must be regions"),  # it is GB
        ({"SMS_COUNTRIES": "kr"}, "SMS_COUNTRIES must be regions"),
        ({"SMS_COUNTRIES": "KR,"}, "SMS_COUNTRIES must be regions"),
        ({"PHONE_KEYS": ""}, "PHONE_KEYS must be a list"),
        ({"PHONE_KEYS": "p1:c2hvcnQ"}, "PHONE_KEYS must hold keys of 32 bytes"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        read(Settings, {**RIGHT, **changes})


def test_all_wrong_settings_are_told_at_once_and_no_secret_is() -> None:
    secret = "a secret that is none"
    with pytest.raises(BadSettings) as raised:
        read(Settings, {**RIGHT, "FCM_ACCOUNT": secret, "PHONE_KEYS": f"p1:{secret}", "VAPID_PRIVATE_KEY": secret})
    assert all(name in str(raised.value) for name in ("FCM_ACCOUNT", "PHONE_KEYS", "VAPID_PRIVATE_KEY"))
    assert secret not in str(raised.value)
