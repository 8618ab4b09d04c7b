"""What the commands share: how events are named, which options there are, and how an answer is shown."""

import asyncio
import getpass
import re
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import click

from events.catalog.feeds import FEEDS
from events.settings import read
from ops import show
from ops.places import Places
from ops.settings import Settings

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., None])
FEED: Final = click.Choice(list(FEEDS), case_sensitive=False)
LIMIT: Final = 100
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Hearer(click.ParamType[str]):
    """A service that hears, or a guest."""

    name = "CONSUMER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Its name; fails with those that there are."""
        hears = read(Settings).hears
        return str(click.Choice([name for name, feeds in hears.items() if feeds]).convert(value, param, ctx))


CONSUMERS: Final = Hearer()


class Place(click.ParamType[tuple[str, int]]):
    """An event as people write it: `TODOS:1234`."""

    name = "FEED:SEQ"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Feed and number; fails with what would be right."""
        feed, _, seq = str(value).partition(":")
        if feed.upper() not in FEEDS or not (seq.isascii() and seq.isdigit()) or len(seq) > 18:
            self.fail(f"{value!r} is no event: FEED:SEQ, e.g. TODOS:1234", param, ctx)
        return feed.upper(), int(seq)


class Moment(click.ParamType[datetime]):
    """A moment with its offset from UTC, or how long ago: `2026-11-28T09:00:00Z`, `90s`, `15m`, `2h`, `7d`."""

    name = "MOMENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """That moment; fails with what would be right."""
        try:
            moment = _moment(str(value))
        except (ValueError, OverflowError):
            moment = None
        if moment is None:
            self.fail(f"{value!r} is no moment: 2026-11-28T09:00:00Z, or 15m, 2h, 7d ago", param, ctx)
        return moment


def _moment(text: str) -> datetime | None:
    if ago := re.fullmatch(r"([0-9]{1,9})([smhd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else None


def _me() -> str | None:
    with suppress(KeyError, OSError):  # in a container the user may have no name
        return getpass.getuser()
    return None


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Options that go with one another, as one decorator."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


in_json = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
some = click.option("--limit", type=click.IntRange(1, 100_000), default=LIMIT, help="At most so many of each consumer.")
acting = together(
    click.option("--why", required=True, help="Why; kept with the act."),
    click.option("--who", default=_me, required=True, show_default="you", help="Who acts; kept with the act."),
)
rehearsed = together(
    click.option("--yes", is_flag=True, help="Do it; without this, only tell what it would do."),
    acting,
)


def places() -> Places:
    """Where everything is, as the environment says; raises `BadSettings`."""
    settings = read(Settings)
    return Places(settings.databases, settings.nats, settings.hears)


def asked(where: Places, consumer: str | None) -> Sequence[str]:
    """The consumers that a command is about: the one that was named, else all."""
    return tuple(name for name in where.services if where.hears[name]) if consumer is None else (consumer,)


def run(question: Coroutine[Any, Any, T]) -> T:
    """The answer to a question."""
    return asyncio.run(question)


def answer(value: object, in_words: Callable[[], None], *, as_json: bool) -> None:
    """One JSON document, or the same for people."""
    if as_json:
        show.as_json(value)
    else:
        in_words()


def rows(title: str, columns: Sequence[str], found: Sequence[dict[str, Any]], *, empty: str, as_json: bool) -> None:
    """Rows as one JSON document, or as a table."""
    answer(found, lambda: show.table(title, columns, found, empty=empty), as_json=as_json)
