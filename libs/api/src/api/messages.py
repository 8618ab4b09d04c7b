"""Words for people, in every language that the product speaks."""

from functools import lru_cache
from string import Formatter
from typing import Any, Final, Literal, cast

import msgspec
from litestar.connection import ASGIConnection

Locale = Literal["en", "ko"]
LOCALES: Final[frozenset[str]] = frozenset({"en", "ko"})


class Text(msgspec.Struct, frozen=True):
    """One text in both languages, `{name}` a placeholder. A missing translation raises `ValueError`."""

    en: str
    ko: str

    def __post_init__(self) -> None:
        """Both languages say something, about the same things."""
        if not (self.en and self.ko):
            raise ValueError(f"a translation is missing: {self!r}")
        if _placeholders(self.en) != _placeholders(self.ko):
            raise ValueError(f"the translations name different placeholders: {self!r}")

    def to(self, locale: Locale, **values: object) -> str:
        """The text in one language with its placeholders filled."""
        text = self.ko if locale == "ko" else self.en
        return text.format(**values) if values else text


class Message(Text, frozen=True):
    """What a success answer says: a stable key for programs, a text for people."""

    key: str


def locale_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Locale:
    """The language to answer in: `Accept-Language`, else what the signed-in person chose, else English."""
    wanted = connection.headers.get("accept-language")
    if wanted and (locale := preferred(wanted[:256])):
        return locale
    person = connection.scope.get("user")
    return getattr(person, "locale", None) or "en"


@lru_cache(256)
def preferred(accept_language: str) -> Locale | None:
    """The best of our languages by an `Accept-Language` value (RFC 9110, section 12.5.4); None for none of them."""
    best = max((_weighed(part) for part in accept_language.split(",")), default=(0.0, ""), key=lambda pair: pair[0])
    return cast("Locale", best[1]) if best[0] > 0 else None


def _weighed(part: str) -> tuple[float, str]:
    """A language range and its weight; weight 0 for a language that we do not speak."""
    name, _, parameters = part.partition(";")
    primary = name.strip().lower().split("-")[0]
    weight = parameters.strip().removeprefix("q=")
    try:
        return (float(weight or 1) if primary in LOCALES else 0.0, primary)
    except ValueError:
        return (0.0, primary)


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}
