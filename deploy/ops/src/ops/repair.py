"""The commands about a feed's history: `todo-ops relay ...`, `todo-ops consumer ...`."""

import sys
from typing import TypeAlias

import click

from events.acts import By
from ops import abandoning, importing, show
from ops.comparing import Report
from ops.options import CONSUMERS, FEED, answer, in_json, places, rehearsed, run
from ops.places import Places
from ops.relaying import Check, check
from ops.rewinding import plan, rewind

Decision: TypeAlias = importing.Surplus | importing.Imported | abandoning.Fork | abandoning.Abandoned


@click.group("relay")
def relays() -> None:
    """What a feed's relay would publish, and what an operator decides where log and stream parted."""


@relays.command("check")
@click.argument("feed", type=FEED)
@in_json
def show_check(feed: str, *, as_json: bool) -> None:
    """What the relay would publish, and where log and stream part. Changes nothing; ends with 1 where they do."""
    with show.progress() as report:
        found = run(check(places(), feed, report))
    answer(found, lambda: _show(found), as_json=as_json)
    sys.exit(0 if found.well else 1)


@relays.command("resolve")
@click.argument("feed", type=FEED)
@click.option("--import-tail", is_flag=True, help="The log only lost its tail: copy it back from the stream.")
@click.option(
    "--abandon-from", type=click.IntRange(1), help="The log is right: give up the stream from this number on."
)
@rehearsed
@in_json
def resolve(
    feed: str, *, import_tail: bool, abandon_from: int | None, yes: bool, who: str, why: str, as_json: bool
) -> None:
    """Decide which is right where log and stream parted. Tells what that does and does not; with --yes, does it."""
    if import_tail == (abandon_from is not None):
        raise click.UsageError("say which: --import-tail, or --abandon-from SEQ")
    by = By(who, why) if yes else None
    with show.progress() as report:
        found = run(_decide(places(), feed, abandon_from, by, report))
    answer(found, lambda: _show_decision(found), as_json=as_json)


async def _decide(where: Places, feed: str, abandon_from: int | None, by: By | None, report: Report) -> Decision:
    """Do it by somebody, or plan it."""
    if abandon_from is None:
        if by:
            return await importing.import_tail(where, feed, by, report)
        return await importing.plan(where, feed, report)
    if by:
        return await abandoning.abandon(where, feed, abandon_from, by, report)
    return await abandoning.plan(where, feed, abandon_from, report)


def _show_decision(found: Decision) -> None:
    if isinstance(found, importing.Imported):
        show.say(f"the log of {found.feed} has {found.first:,} to {found.last:,} again: todo-ops verify")
    elif isinstance(found, abandoning.Abandoned):
        show.say(f"stream {found.feed} is filled from its log; set back: {', '.join(found.consumers) or 'nobody'}")
    else:
        title = "Would come back" if isinstance(found, importing.Surplus) else "Would be given up"
        show.table(f"{title}: {found.events:,} events", ("seq", "type", "key", "time"), found.sample, empty="no event")
        show.plan(found.does, found.does_not)


def _show(checked: Check) -> None:
    found = checked.found
    stream = "none" if found.stream_last is None else f"{found.stream_first:,} to {found.stream_last:,}"
    show.facts(
        {
            "feed": found.feed,
            "log": f"{found.log_first:,} to {found.log_last:,}",
            "stream": stream,
            "the same": f"{found.compared:,} numbers",
            "relay": checked.verdict,
        }
    )
    if checked.next:
        show.table("Next in the log", ("seq", "type", "key", "time", "appended_at"), checked.next, empty="")


@click.group("consumer")
def consumers() -> None:
    """Where a consumer stands in a feed."""


@consumers.command("rewind")
@click.argument("consumer", type=CONSUMERS)
@click.argument("feed", type=FEED)
@click.option("--to", type=click.IntRange(0), required=True, help="The last number that counts as heard; 0: none.")
@rehearsed
@in_json
def rewind_consumer(consumer: str, feed: str, to: int, *, yes: bool, who: str, why: str, as_json: bool) -> None:
    """Have a consumer hear a feed again after a number. Tells what that does and does not; with --yes, does it."""
    where = places()
    if yes:
        done = run(rewind(where, consumer, feed, to, By(who, why)))
        text = f"{consumer} hears {feed} again after {to:,}, from where it was at {done.before:,}: todo-ops status"
        answer(done, lambda: show.say(text), as_json=as_json)
        return
    planned = run(plan(where, consumer, feed, to))
    answer(planned, lambda: show.plan(planned.does, planned.does_not), as_json=as_json)
