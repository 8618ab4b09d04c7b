"""The commands about a feed's two copies: `todo-ops relay ...`."""

import sys

import click

from ops import show
from ops.options import FEED, answer, in_json, places, run
from ops.relaying import Check, check


@click.group()
def relay() -> None:
    """What a feed's relay would publish, and what an operator decides where log and stream parted."""


@relay.command("check")
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
