"""Settings: read once from the environment, every bad one told in one error, no value ever quoted."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadSettings
from events.settings import read


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str
    smtp_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    app_env: Literal["development", "production"] = "production"
    starttls: bool = True
    timeout: float | None = None
    transport: Literal["smtp", "console"] | None = None


def test_values_are_converted_to_their_types() -> None:
    source = {"DATABASE_URL": "postgres://", "SMTP_PORT": "25", "STARTTLS": "false", "TIMEOUT": "1.5", "OTHER": "x"}
    assert read(Settings, source) == Settings(database_url="postgres://", smtp_port=25, starttls=False, timeout=1.5)


def test_an_empty_variable_counts_as_absent() -> None:
    assert read(Settings, {"DATABASE_URL": "x", "SMTP_PORT": "", "TIMEOUT": ""}) == Settings(database_url="x")


def test_the_environment_is_the_default_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "from the environment")
    assert read(Settings).database_url == "from the environment"


def test_all_bad_ones_are_told_in_one_error() -> None:
    with pytest.raises(BadSettings) as raised:
        read(Settings, {"SMTP_PORT": "0", "APP_ENV": "staging", "STARTTLS": "maybe", "TRANSPORT": "pigeon"})
    told = str(raised.value)
    assert "DATABASE_URL is required" in told
    assert all(f"{name}: " in told for name in ("SMTP_PORT", "APP_ENV", "STARTTLS"))
    assert "APP_ENV: must be one of development, production" in told
    assert "TRANSPORT: must be one of smtp, console" in told
    assert "TIMEOUT" not in told


def test_a_rule_between_settings_is_told_too() -> None:
    class Paired(msgspec.Struct, frozen=True):
        user: str = ""
        password: str = ""

        def __post_init__(self) -> None:
            if self.user and not self.password:
                raise ValueError("PASSWORD is required beside USER; USER may not stand alone")

    with pytest.raises(BadSettings, match="settings: PASSWORD is required beside USER; USER may not stand alone"):
        read(Paired, {"USER": "me"})


@pytest.mark.parametrize(
    "kind",
    [
        int, float, bool, UUID, Literal["a", "b"], int | None, Literal["a"] | None, list[int], dict[str, int],
        Annotated[str, msgspec.Meta(pattern="^$")], Annotated[str, msgspec.Meta(max_length=1)],
    ],
    ids=str,
)  # fmt: skip
@given(secret=st.text(st.sampled_from("hunterXYZ'\"`,$ -"), min_size=8))
def test_no_value_is_quoted(kind: Any, secret: str) -> None:
    struct = msgspec.defstruct("Secretive", [("api_key", kind)])
    with pytest.raises(BadSettings) as raised:
        read(struct, {"API_KEY": secret})
    assert secret not in str(raised.value)
    assert "API_KEY" in str(raised.value)
