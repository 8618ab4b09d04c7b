"""The command `todo-ops`. It ends with 0: done, all is well; 1: not well, or not done; 2: asked in a wrong way.

What it shows are tables for people, and with `--json` one document for scripts.
"""

import asyncio
import getpass
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar, get_args
from uuid import UUID

import click

from events.acts import By, Chosen
from events.catalog.feeds import FEEDS, HEARS
from events.errors import BadSettings, EventsError
from events.parking import Reason
from events.settings import read
from ops import parked, show
from ops.places import Places
from ops.settings import Settings
from ops.status import status

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., None])
CONSUMERS: Final = click.Choice([name for name, feeds in HEARS.items() if feeds])
LIMIT: Final = 100


class Place(click.ParamType[tuple[str, int]]):
    """An event as people write it: `TODOS:1234`."""

    name = "FEED:SEQ"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Feed and number; fails with what would be right."""
        feed, _, seq = str(value).partition(":")
        if feed.upper() not in FEEDS or not (seq.isascii() and seq.isdigit()) or len(seq) > 18:
            self.fail(f"{value!r} is no event: FEED:SEQ, e.g. TODOS:1234", param, ctx)
        return feed.upper(), int(seq)


def _me() -> str | None:
    with suppress(KeyError, OSError):  # in a container the user may have no name
        return getpass.getuser()
    return None


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


in_json = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
some = click.option("--limit", type=click.IntRange(1, 100_000), default=LIMIT, help="At most so many of each consumer.")
filters = _options(
    click.option("--feed", type=click.Choice(list(FEEDS), case_sensitive=False), help="Of this feed."),
    click.option("--key", type=click.UUID, help="Of this person."),
    click.option("--reason", type=click.Choice(get_args(Reason)), help="Parked for this."),
)
choice = _options(
    click.option("--one", type=Place(), help="This event, e.g. TODOS:1234."),
    filters,
    click.option("--all", "everything", is_flag=True, help="All that is parked there."),
    click.option("--dry-run", is_flag=True, help="Only count, and show some."),
    click.option("--why", required=True, help="Why; kept with the act."),
    click.option("--who", default=_me, required=True, show_default="you", help="Who acts; kept with the act."),
)


class _Errors(click.Group):
    """Ends with what went wrong, and no stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadSettings as error:
            raise click.UsageError(f"{error} (todo-ops reads DATABASE_URLS and NATS_URL)") from None
        except EventsError as error:
            raise click.ClickException(str(error)) from None


def main() -> None:
    """Run the command that the arguments name."""
    app(prog_name="todo-ops")


@click.group(cls=_Errors, help=__doc__)
def app() -> None:
    """Hold the commands."""


@app.group("parked")
def shelf() -> None:
    """Events that a consumer could not apply, and what waits behind them."""


@app.command("status")
@in_json
def show_status(*, as_json: bool) -> None:
    """Every feed in its log, in its stream and at each consumer; what waits or is parked. Ends with 1 if not well."""
    found = _run(status(_places()))
    if as_json:
        show.as_json(found)
    else:
        show.standing(found)
    sys.exit(1 if found.troubles else 0)


@app.command("acts")
@click.argument("consumer", type=CONSUMERS, required=False)
@some
@in_json
def show_acts(consumer: str | None, limit: int, *, as_json: bool) -> None:
    """What operators had done with parked events, by whom and why, and what came of it."""
    places = _places()
    rows = _run(parked.done(places, _asked(places, consumer), limit))
    columns = ("at", "who", "what", "consumer", "chosen", "applied", "failed", "discarded", "under_way", "why")
    _show("Acts", columns, rows, empty="no operator did anything yet", as_json=as_json)


@shelf.command("list")
@click.argument("consumer", type=CONSUMERS, required=False)
@filters
@some
@in_json
def show_parked(consumer: str | None, limit: int, *, as_json: bool, **chosen: Any) -> None:
    """What is parked, in order, without what it says; of all consumers where none is named."""
    places = _places()
    rows = _run(parked.listed(places, _asked(places, consumer), Chosen(**chosen), limit))
    columns = ("consumer", "feed", "seq", "key", "type", "reason", "attempts", "parked_at", "detail")
    _show("Parked", columns, rows, empty="nothing is parked", as_json=as_json)


@shelf.command("show")
@click.argument("consumer", type=CONSUMERS)
@click.argument("event", type=Place())
@in_json
def show_one(consumer: str, event: tuple[str, int], *, as_json: bool) -> None:
    """All that is known of one parked event, what it says included."""
    found = _run(parked.shown(_places(), consumer, *event))
    if as_json:
        show.as_json(found)
    else:
        show.facts(found)


@shelf.command()
@click.argument("consumer", type=CONSUMERS)
@choice
@click.option("--cap", type=click.IntRange(1), help="At most so many events.")
@click.option("--rate", type=float, help="At most so many events a second.")
@in_json
def redrive(consumer: str, cap: int | None, rate: float | None, *, as_json: bool, **asked: Any) -> None:
    """Have parked events applied again by their consumer, each key's in order. Nothing is published again."""
    places, chosen = _places(), _for_act(**asked)
    if asked["dry_run"]:
        _rehearse(places, consumer, chosen, as_json=as_json)
        return
    by = By(asked["who"], asked["why"])
    act = _run(parked.redrive(places, consumer, chosen, by, events_max=cap, per_second=rate))
    if as_json:
        show.as_json(act)
    else:
        show.say(f"due, with what waits behind: {act.events}. What comes of it: todo-ops acts {consumer}")


@shelf.command()
@click.argument("consumer", type=CONSUMERS)
@choice
@in_json
def discard(consumer: str, *, as_json: bool, **asked: Any) -> None:
    """Give parked events up: they never have their effect there. What waits behind them is tried."""
    places, chosen = _places(), _for_act(**asked)
    if asked["dry_run"]:
        _rehearse(places, consumer, chosen, as_json=as_json)
        return
    act = _run(parked.discard(places, consumer, chosen, By(asked["who"], asked["why"])))
    if as_json:
        show.as_json(act)
    else:
        show.say(f"given up: {act.events}. What waited behind is due: todo-ops acts {consumer}")


def _rehearse(places: Places, consumer: str, chosen: Chosen, *, as_json: bool) -> None:
    rows = _run(parked.counted(places, consumer, chosen))
    sample = _run(parked.sample(places, consumer, chosen))
    if as_json:
        show.as_json({"counts": rows, "sample": sample})
        return
    show.table("It would be about", ("feed", "reason", "events", "behind", "parked_since"), rows, empty="nothing")
    if sample:
        show.table("For example", ("feed", "seq", "key", "type", "reason", "detail"), sample, empty="")


def _for_act(
    one: tuple[str, int] | None,
    feed: str | None,
    key: UUID | None,
    reason: Reason | None,
    *,
    everything: bool,
    **_: Any,
) -> Chosen:
    """What an act is about: said outright, for nobody redrives all by leaving something out."""
    by_terms = bool(feed or key or reason)
    if [one is not None, by_terms, everything].count(True) != 1:
        raise click.UsageError("say which: --one FEED:SEQ, or some of --feed, --key and --reason, or --all")
    if one is not None:
        return Chosen(feed=one[0], seq=one[1])
    return Chosen(feed=feed, key=key, reason=reason)


def _show(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], *, empty: str, as_json: bool) -> None:
    if as_json:
        show.as_json(rows)
    else:
        show.table(title, columns, rows, empty=empty)


def _asked(places: Places, consumer: str | None) -> tuple[str, ...]:
    return tuple(name for name in places.services if HEARS[name]) if consumer is None else (consumer,)


def _places() -> Places:
    settings = read(Settings)
    return Places(settings.databases, settings.nats_url)


def _run(question: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(question)
