"""Everybody's figures as charts: which there are, what each shows, and what to mind. Pure."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from msgspec import Struct

from activity import drawing
from activity.drawing import Drawn, Row


class Chart(Struct, frozen=True, kw_only=True):
    """A chart over the rows of the query `overview_<query>`; `about` says its unit and what to mind."""

    name: str
    query: str
    title: str
    about: str
    draw: Callable[[Sequence[Row], date], Drawn]


def spec_of(chart: Chart, rows: Sequence[Row], today: date) -> dict[str, Any] | None:
    """The chart in Vega-Lite, as wide as its place; None where there is nothing to draw. `today`: the last day."""
    if not rows:
        return None
    spec: dict[str, Any] = chart.draw(rows, today).to_dict()
    if not any(spec["datasets"].values()):
        return None
    del spec["config"], spec["$schema"]  # the page has its own themes, and names no address
    fitting = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
    return spec | fitting | {"description": chart.about}


CHARTS: Final = (
    Chart(
        name="active",
        query="active",
        title="People active",
        about="People who did something to their to-dos, in each day (line), week and month (as long as they last). "
        "Who comes twice is one. The last of each may not be over.",
        draw=drawing.active,
    ),
    Chart(
        name="daily",
        query="daily",
        title="To-dos created and completed",
        about="To-dos a day, where each person lived then. The last day may not be over.",
        draw=drawing.daily,
    ),
    Chart(
        name="pattern",
        query="pattern",
        title="When people work",
        about="To-dos created and completed by weekday and hour where each person lived then; over all time.",
        draw=drawing.pattern,
    ),
    Chart(
        name="cohorts",
        query="cohorts",
        title="To-dos completed in time",
        about="Per cent of the to-dos made in a week that were first completed within 1, 7 and 30 days. "
        "Days that are not over for it are left out.",
        draw=drawing.cohorts,
    ),
    Chart(
        name="retention",
        query="retention",
        title="Who comes back",
        about="Per cent of the people who registered in a week that did something so many weeks after. "
        "Weeks that are over alone; week 0 is shorter for who registers late in it.",
        draw=drawing.retention,
    ),
    Chart(
        name="funnel",
        query="sign_ins",
        title="Signing in: what becomes of codes",
        about="Codes asked for, mailed, and answered rightly, in all. Codes, not people.",
        draw=drawing.funnel,
    ),
    Chart(
        name="sign_ins",
        query="sign_ins",
        title="Signing in, by day",
        about="Codes by the day in UTC on which they were asked for.",
        draw=drawing.sign_ins,
    ),
    Chart(
        name="mail_time",
        query="sign_ins",
        title="Time until a code is mailed",
        about="Seconds, on a logarithmic scale, from asking until the mail server took the letter: of half of a day's "
        "letters (p50), of 95 in 100 (p95). Days in UTC.",
        draw=drawing.mail_time,
    ),
    Chart(
        name="messages",
        query="messages",
        title="Mail, push and SMS",
        about="Messages by channel and kind: sent is taken by the server or provider, failed is refused or given up.",
        draw=drawing.messages,
    ),
    Chart(
        name="waits",
        query="waits",
        title="How long messages waited",
        about="Seconds, on a logarithmic scale, from their event until they were taken, quiet hours included. Two "
        "marks for each day in UTC: half of them (p50), 95 in 100 (p95).",
        draw=drawing.waits,
    ),
)
