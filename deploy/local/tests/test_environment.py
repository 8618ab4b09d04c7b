"""What each service finds in its environment: its own secrets, and nobody else's."""

from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from local.environment import as_services_see_it, service_environment
from local.layout import SERVICES, Layout
from local.secret import load_or_make

HOLDERS = {
    "KEY_WRAPPING_KEYS": "auth",
    "REFRESH_KEYS": "auth",
    "OTP_PEPPERS": "auth",
    "DEVICE_KEYS": "auth",
    "MAILER_PUBLIC_KEYS": "auth",
    "MAILER_PRIVATE_KEYS": "mailer",
    "UNSUBSCRIBE_KEYS": "mailer",
    "DKIM_KEY_FILE": "mailer",
    "SMTP_PASSWORD": "mailer",
    "FCM_ACCOUNT": "notifier",
    "VAPID_PRIVATE_KEY": "notifier",
    "SMS_ACCOUNT_SID": "notifier",
    "SMS_AUTH_TOKEN": "notifier",
    "PHONE_KEYS": "notifier",
}
NOBODYS = ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PGPASSWORD", "GOOGLE_APPLICATION_CREDENTIALS")


def environments(folder: Path, caller: dict[str, str]) -> dict[str, dict[str, str]]:
    layout, secrets = Layout(8080, folder), load_or_make(folder / "secrets.json")
    return {name: service_environment(name, layout, secrets, {}, caller) for name in SERVICES}


@pytest.mark.parametrize("secret", HOLDERS)
def test_a_secret_of_the_caller_reaches_its_holder_alone(tmp_path: Path, secret: str) -> None:
    given = environments(tmp_path, {secret: "the caller's"})
    assert {name for name, environment in given.items() if secret in environment} == {HOLDERS[secret]}
    assert given[HOLDERS[secret]][secret] == "the caller's"


@pytest.mark.parametrize("secret", NOBODYS)
def test_a_secret_that_is_no_setting_reaches_nobody(tmp_path: Path, secret: str) -> None:
    given = environments(tmp_path, {secret: "the caller's", "LOG_LEVEL": "DEBUG"})
    for environment in given.values():
        assert secret not in environment
        assert environment["LOG_LEVEL"] == "DEBUG"


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_of_a_service_can_be_given_by_the_caller_or_is_decided_here(tmp_path: Path, service: str) -> None:
    settings = import_module(f"{service}.settings").Settings
    names = {field.name.upper() for field in msgspec.structs.fields(settings)} - {"DATABASE_URL", "NATS_URL"}
    assert names <= environments(tmp_path, dict.fromkeys(names, "given"))[service].keys()


def test_a_test_can_put_a_wire_of_its_own_before_a_server() -> None:
    url = "postgres://todos:secret@127.0.0.1:8081/todos"
    assert as_services_see_it(url, "POSTGRES", {}) == url
    wired = {"SERVICES_POSTGRES_PORT": "8097"}
    assert as_services_see_it(url, "POSTGRES", wired) == "postgres://todos:secret@127.0.0.1:8097/todos"
    assert as_services_see_it("nats://todos:secret@127.0.0.1:8082", "NATS", wired).endswith(":8082")
