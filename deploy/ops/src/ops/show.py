"""What is shown: tables for people, JSON for scripts."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich import text as rich_text
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ops.status import Status
from ops.tailing import Told
from ops.verify import Finding

_NUMBER: Final = (int, float)


def as_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """Rows under the names of their columns; a sentence where there are none."""
    rows = list(rows)
    if not rows:
        _console().print(empty)
        return
    shown = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in columns:
        numbers = all(isinstance(row[name], _NUMBER) or row[name] is None for row in rows)
        shown.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(rich_text.Text(_text(row[name])) for name in columns))
    _console().print(shown)


def facts(values: Mapping[str, Any]) -> None:
    """One thing, a line a fact."""
    width = max(map(len, values))
    for name, value in values.items():
        _console().print(f"{name:{width}}  {_text(value)}", markup=False, highlight=False, soft_wrap=True)


def standing(status: Status) -> None:
    """How everything stands, and what somebody should look at."""
    rows = [
        {
            "feed": feed.feed,
            "log": feed.log,
            "stream": feed.stream,
            "consumer": each.consumer,
            "heard": each.seq,
            "behind": each.lag_events,
            "for": _seconds(each.lag_seconds),
            "parked": each.parked,
            "stuck_keys": each.stuck,
        }
        for feed in status.feeds
        for each in feed.consumers
    ]
    columns = ("feed", "log", "stream", "consumer", "heard", "behind", "for", "parked", "stuck_keys")
    table("Feeds", columns, rows, empty="no consumer is named in DATABASE_URLS")
    work = [{**msgspec.structs.asdict(row), "oldest_due": _seconds(row.oldest_seconds)} for row in status.work]
    if work:
        _console().print()
        table("Work", ("service", "table", "queued", "claimed", "sending", "oldest_due"), work, empty="")
    _console().print()
    for trouble in status.troubles:
        _console().print(rich_text.Text.assemble(("!", "bold red"), " ", trouble))
    if not status.troubles:
        _console().print("[green]all is well[/]")


def findings(found: Sequence[Finding]) -> None:
    """What was looked at, and what is wrong, with what to do next."""
    rows = [{"": "!" if each.wrong else "ok", "what": each.about, "seen": each.seen} for each in found]
    table("Verified", ("", "what", "seen"), rows, empty="DATABASE_URLS names no service")
    _console().print()
    for each in found:
        if each.wrong or each.next:
            text = f"{each.about}: {each.wrong}; {each.next}" if each.wrong else f"{each.about}: {each.next}"
            mark = ("!", "bold red") if each.wrong else ("-", "bold")
            _console().print(rich_text.Text.assemble(mark, " ", text))
    if not any(each.wrong for each in found):
        _console().print("[green]all copies say the same[/]")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on stderr where that is a terminal: the function is told what is looked through, how far, and its end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars: dict[str, Any] = {}
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:

        def report(name: str, done: int, end: int) -> None:
            if name not in bars:
                bars[name] = shown.add_task(name)
            shown.update(bars[name], completed=done, total=end)

        yield report


def plan(does: Iterable[str], does_not: Iterable[str]) -> None:
    """What would be done, and what not; nothing is done yet."""
    for title, lines in (("It would", does), ("It would not", does_not)):
        _console().print(title, style="bold")
        for line in lines:
            _console().print(f"- {line}", markup=False, highlight=False, soft_wrap=True)
    say("nothing is done yet: --yes does it")


def event(told: Told, *, as_line: bool) -> None:
    """One event on stdout at once: a line for people, or one of JSON."""
    if as_line:
        text = msgspec.json.encode(told).decode()
    else:
        said = "does not decode" if told.data is None else msgspec.json.encode(told.data).decode()
        when = told.time.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
        text = f"{when} {told.feed}:{told.seq} {told.type} {told.person} {_plain(said)}"
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def aside(text: str) -> None:
    """A sentence on stderr: beside what is asked for."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A sentence on stdout."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    return Console(file=sys.stdout)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return _plain(str(value))


def _plain(text: str) -> str:
    """Text that people wrote, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f} s"
