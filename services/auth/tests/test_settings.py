"""What production insists on."""

import pytest
from signing import environment, key

from auth.settings import Settings
from events.errors import BadSettings
from events.settings import read

KEYS = ("KEY_WRAPPING_KEYS", "REFRESH_KEYS", "OTP_PEPPERS", "DEVICE_KEYS", "MAILER_PUBLIC_KEYS")


def test_a_complete_environment_is_production() -> None:
    settings = read(Settings, environment())
    assert not settings.is_development
    assert (settings.limits.resend.count, settings.limits.resend.seconds, settings.limits.guesses) == (1, 60, 5)
    assert settings.limits.per_hour.count > 0
    assert settings.limits.asks_per_network.count > 0


def test_development_limits_no_requests_unless_told() -> None:
    assert read(Settings, environment(APP_ENV="development")).limits.resend.count == 0
    assert read(Settings, environment(APP_ENV="development", OTP_RESEND_SECONDS="60")).limits.resend.count == 1


@pytest.mark.parametrize("app_env", ["production", "development"])
def test_every_missing_key_is_told_at_once_and_none_is_made_up(app_env: str) -> None:
    with pytest.raises(BadSettings) as refused:
        read(Settings, environment(APP_ENV=app_env) | dict.fromkeys(KEYS, ""))
    assert all(f"{name} is required" in str(refused.value) for name in KEYS)


def test_short_keys_and_wrong_networks_are_told_together_without_showing_them() -> None:
    bad = {"OTP_PEPPERS": key(b"short"), "REFRESH_KEYS": "secretsecret", "TRUSTED_PROXIES": "10.0.0.1/8"}
    with pytest.raises(BadSettings) as refused:
        read(Settings, environment(**bad))
    assert all(name in str(refused.value) for name in bad)
    assert "secretsecret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTP_LENGTH", "5"), ("OTP_EXPIRATION_MINUTES", "11"), ("OTP_GUESSES", "0"), ("OTP_RESEND_SECONDS", "-1")],
)
def test_weak_codes_are_refused(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        read(Settings, environment(**{name: value}))
