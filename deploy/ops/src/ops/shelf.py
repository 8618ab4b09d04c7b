"""The commands about parked events: `todo-ops parked ...`."""

from collections.abc import Callable, Coroutine
from typing import Any, Final, get_args
from uuid import UUID

import click

from events.acts import Act, By, Chosen
from events.parking import Reason
from ops import parked, show
from ops.options import CONSUMERS, FEED, Place, acting, answer, asked, in_json, places, rows, run, some, together
from ops.places import Places

UNKNOWN: Final = "unknown"
of_whom = together(
    click.option("--feed", type=FEED, help="Of this feed."),
    click.option("--key", type=click.UUID, help="Of this person."),
)
filters = together(of_whom, click.option("--reason", type=click.Choice(get_args(Reason)), help="Parked for this."))
choice = together(
    click.option("--one", type=Place(), help="This event, e.g. TODOS:1234."),
    filters,
    click.option("--all", "everything", is_flag=True, help="All that is parked there."),
    click.option("--dry-run", is_flag=True, help="Only count, and show some."),
    acting,
)


@click.group("parked")
def shelf() -> None:
    """Events that a consumer could not apply, and what waits behind them."""


@shelf.command("list")
@click.argument("consumer", type=CONSUMERS, required=False)
@of_whom
@click.option("--reason", type=click.Choice([*get_args(Reason), UNKNOWN]), help="For this.")
@some
@in_json
def show_parked(
    consumer: str | None, feed: str | None, key: UUID | None, reason: Any, limit: int, *, as_json: bool
) -> None:
    """What is parked, in order, without what it says; of all consumers where none is named.

    After that letters and deliveries that failed or may have (`unknown`). These nobody tries again: a person may have
    got them, or never will.
    """
    where = places()
    services, found = asked(where, consumer), []
    if reason != UNKNOWN:
        found += run(parked.listed(where, services, Chosen(feed=feed, key=key, reason=reason), limit))
    if feed is None and reason in {None, "failed", UNKNOWN}:
        found += run(parked.undone(where, services, key, reason, limit))
    columns = ("consumer", "feed", "seq", "key", "type", "reason", "attempts", "parked_at", "detail")
    rows("Parked", columns, found, empty="nothing is parked", as_json=as_json)


@shelf.command("show")
@click.argument("consumer", type=CONSUMERS)
@click.argument("event", type=Place())
@in_json
def show_one(consumer: str, event: tuple[str, int], *, as_json: bool) -> None:
    """All that is known of one parked event, what it says included."""
    found = run(parked.shown(places(), consumer, *event))
    answer(found, lambda: show.facts(found), as_json=as_json)


@shelf.command()
@click.argument("consumer", type=CONSUMERS)
@choice
@click.option("--cap", type=click.IntRange(1), help="At most so many events.")
@click.option("--rate", type=float, help="At most so many events a second.")
@in_json
def redrive(consumer: str, cap: int | None, rate: float | None, *, as_json: bool, **options: Any) -> None:
    """Have parked events applied again by their consumer, each key's in order. Nothing is published again."""

    def do(where: Places, chosen: Chosen, by: By) -> Coroutine[Any, Any, Act]:
        return parked.redrive(where, consumer, chosen, by, events_max=cap, per_second=rate)

    _act(consumer, do, "due, with what waits behind: {events}. What comes of it", as_json=as_json, **options)


@shelf.command()
@click.argument("consumer", type=CONSUMERS)
@choice
@in_json
def discard(consumer: str, *, as_json: bool, **options: Any) -> None:
    """Give parked events up: they never have their effect there. What waits behind them is tried."""

    def do(where: Places, chosen: Chosen, by: By) -> Coroutine[Any, Any, Act]:
        return parked.discard(where, consumer, chosen, by)

    _act(consumer, do, "given up: {events}. What waited behind is due", as_json=as_json, **options)


def _act(
    consumer: str,
    do: Callable[[Places, Chosen, By], Coroutine[Any, Any, Act]],
    said: str,
    *,
    who: str,
    why: str,
    dry_run: bool,
    as_json: bool,
    **terms: Any,
) -> None:
    """Do it to what was chosen, or only tell of that."""
    where, chosen = places(), _chosen(**terms)
    if dry_run:
        _rehearse(where, consumer, chosen, as_json=as_json)
        return
    act = run(do(where, chosen, By(who, why)))
    text = f"{said.format(events=act.events)}: todo-ops acts {consumer}"
    answer(act, lambda: show.say(text), as_json=as_json)


def _rehearse(where: Places, consumer: str, chosen: Chosen, *, as_json: bool) -> None:
    counts = run(parked.counted(where, consumer, chosen))
    sample = run(parked.sample(where, consumer, chosen))
    if as_json:
        show.as_json({"counts": counts, "sample": sample})
        return
    show.table("It would be about", ("feed", "reason", "events", "behind", "parked_since"), counts, empty="nothing")
    if sample:
        show.table("For example", ("feed", "seq", "key", "type", "reason", "detail"), sample, empty="")


def _chosen(
    one: tuple[str, int] | None, feed: str | None, key: UUID | None, reason: Reason | None, *, everything: bool
) -> Chosen:
    """What an act is about: said outright, for nobody redrives all by leaving something out."""
    by_terms = bool(feed or key or reason)
    if [one is not None, by_terms, everything].count(True) != 1:
        raise click.UsageError("say which: --one FEED:SEQ, or some of --feed, --key and --reason, or --all")
    if one is not None:
        return Chosen(feed=one[0], seq=one[1])
    return Chosen(feed=feed, key=key, reason=reason)
