"""The commands about a feed's history: `todo-ops relay ...`, `todo-ops consumer ...`."""

import sys

import click

from events.acts import By
from ops import show
from ops.options import CONSUMERS, FEED, answer, in_json, places, rehearsed, run
from ops.relaying import Check, check
from ops.rewinding import plan, rewind


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
