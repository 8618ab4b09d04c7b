"""The command `todo-ops`. It ends with 0: done, all is well; 1: not well, or not done; 2: asked in a wrong way.

What it shows are tables for people, and with `--json` one document for scripts.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Any, get_args

import click

from events.errors import BadSettings, EventsError
from ops import parked, show
from ops.options import CONSUMERS, FEED, Moment, answer, asked, in_json, places, rows, run, some
from ops.repair import consumers, relays
from ops.services import tell
from ops.shelf import shelf
from ops.status import status
from ops.tailing import Told, Wanted, tail
from ops.verify import Part, verify


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


app.add_command(shelf)
app.add_command(relays)
app.add_command(consumers)


@app.command("status")
@in_json
def show_status(*, as_json: bool) -> None:
    """Every feed in its log, in its stream and at each consumer; what waits or is parked. Ends with 1 if not well."""
    found = run(status(places()))
    answer(found, lambda: show.standing(found), as_json=as_json)
    sys.exit(1 if found.troubles else 0)


@app.command("acts")
@click.argument("consumer", type=CONSUMERS, required=False)
@some
@in_json
def show_acts(consumer: str | None, limit: int, *, as_json: bool) -> None:
    """What operators had done, by whom and why, and what came of it."""
    where = places()
    found = run(parked.done(where, asked(where, consumer), limit))
    columns = ("at", "who", "what", "consumer", "chosen", "applied", "failed", "discarded", "under_way", "why")
    rows("Acts", columns, found, empty="no operator did anything yet", as_json=as_json)


@app.command("verify")
@click.option("--only", type=click.Choice(get_args(Part)), multiple=True, help="Only this; may be repeated.")
@in_json
def show_verified(only: tuple[Part, ...], *, as_json: bool) -> None:
    """Whether streams, checkpoints and archive equal the logs, and states their events. Ends with 1 if not.

    It reads everything: minutes with millions of events. Nothing is changed.
    """
    with show.progress() as report:
        found = run(verify(places(), report, only))
    answer(found, lambda: show.findings(found), as_json=as_json)
    sys.exit(1 if any(each.wrong for each in found) else 0)


@app.group("keys")
def keys() -> None:
    """The keys that sign access tokens."""


@keys.command("rotate")
@click.option("--now", is_flag=True, help="Revoke all others at once: everybody's access token must be refreshed.")
@in_json
def rotate_keys(*, now: bool, as_json: bool) -> None:
    """Have a new key sign access tokens once everybody can know it: by auth's own command, with auth's settings."""
    said = run(tell(places(), "auth", "rotate-keys", *(["--now"] if now else [])))
    answer({"said": said}, lambda: show.say(said), as_json=as_json)


class _Enough(Exception):
    """Everything that was asked for is told, or nobody reads on."""


@app.command("tail")
@click.option("--feed", "feeds", type=FEED, multiple=True, help="Of this feed; may be repeated.")
@click.option("--type", "types", multiple=True, help="Of this type, e.g. TodoCreated; may be repeated.")
@click.option("--person", type=click.UUID, help="About this person.")
@click.option("--aggregate", type=click.UUID, help="Of this to-do, session, ...")
@click.option("--since", type=Moment(), help="From then on, e.g. 15m or 2026-11-28T09:00:00Z; else from now on.")
@click.option("--count", type=click.IntRange(1), help="So many, then end.")
@click.option("--json", "as_lines", is_flag=True, help="One JSON document a line.")
def show_tail(count: int | None, *, as_lines: bool, **wanted: Any) -> None:
    """Events as they come, without what is sealed in them, until Ctrl-C."""
    left = count

    def tell_of(told: Told) -> None:
        nonlocal left
        try:
            show.event(told, as_line=as_lines)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
            raise _Enough from None
        left = left and left - 1
        if left == 0:
            raise _Enough

    # After a group of tasks failed once, Python 3.11 and 3.12 tell of Ctrl-C as of any cancel.
    with suppress(_Enough, KeyboardInterrupt, asyncio.CancelledError):
        run(tail(places(), Wanted(**wanted), tell_of, show.aside))
