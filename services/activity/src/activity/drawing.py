"""How each figure is drawn, in Vega-Lite by Altair, over rows as the database told them. Pure.

Days are read and shown in UTC: they are names of days, and move for nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

import altair as alt

Row: TypeAlias = Mapping[str, Any]
Drawn: TypeAlias = Any
"""A chart of Altair's, whose methods come back from their decorators without types."""

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SPANS: Final = {"day_1": "1 day", "days_7": "7 days", "days_30": "30 days"}
_STRONG: Final = "white"
"""What is written on the stronger half of a ramp, in light and dark alike (overview.js)."""


def _chart(rows: Iterable[Row], *, height: int = 260) -> alt.Chart:
    values = [{name: _plain(value) for name, value in row.items()} for row in rows]
    return alt.Chart(alt.InlineData(values=values), height=height)


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return round(value, 3) if isinstance(value, float) else value


def _day(field: str) -> alt.X:
    axis = alt.Axis(title=None, labelOverlap=True, tickCount=8, format="%d %b %y")
    return alt.X(f"{field}:T", scale=alt.Scale(type="utc"), axis=axis)


def _count(field: str, title: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=title, axis=alt.Axis(tickMinStep=1))


def _colour(field: str, names: Iterable[str]) -> alt.Color:
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names)), legend=alt.Legend(title=None, orient="top"))


def _every_day(rows: Sequence[Row], names: Sequence[str], until: date) -> list[dict[str, Any]]:
    """Counts as one row for each day and name, zero where a day has none: no row is zero."""
    known = {row["day"]: row for row in rows}
    first, last = min(known), max(*known, until)
    days = [first + timedelta(days=nr) for nr in range((last - first).days + 1)]
    return [
        {"day": day, "what": name, "count": known[day][name] if day in known else 0} for day in days for name in names
    ]


def active(rows: Sequence[Row], today: date) -> Drawn:
    """People in each day, as a line, and in each week and month, as long as it lasts."""
    days = [{"day": row["first_day"], "people": row["people"]} for row in rows if row["period"] == "day"]
    told = _every_day(days, ["people"], today) if days else []
    line = _chart({**row, "what": "day"} for row in told).mark_line()
    longer = _chart({**row, "what": row["period"]} for row in rows if row["period"] != "day").mark_rule(strokeWidth=4)
    colour, tip = _colour("what", ("day", "week", "month")), alt.Tooltip("what:N", title="period")
    return alt.layer(
        longer.encode(
            x=_day("first_day"),
            x2="until:T",
            y=_count("people", "people"),
            color=colour,
            tooltip=[tip, alt.Tooltip("first_day:N", title="first day"), "people:Q"],
        ),
        line.encode(x=_day("day"), y=_count("count", "people"), color=colour, tooltip=[tip, "day:N", "count:Q"]),
    )


def _lines(rows: Sequence[Row], names: Sequence[str], today: date, title: str) -> Drawn:
    return (
        _chart(_every_day(rows, names, today))
        .mark_line()
        .encode(
            x=_day("day"),
            y=_count("count", title),
            color=_colour("what", names),
            tooltip=["day:N", "what:N", "count:Q"],
        )
    )


def daily(rows: Sequence[Row], today: date) -> Drawn:
    """To-dos created and completed, day by day."""
    return _lines(rows, ("created", "completed"), today, "to-dos")


def pattern(rows: Sequence[Row], _: date) -> Drawn:
    """What was done in each hour of each weekday."""
    told = {(row["weekday"], row["hour"]): row["actions"] for row in rows}
    grid = [
        {"weekday": name, "hour": hour, "actions": told.get((nr, hour), 0)}
        for nr, name in enumerate(_WEEKDAYS, start=1)
        for hour in range(24)
    ]
    return (
        _chart(grid, height=210)
        .mark_rect()
        .encode(
            x=alt.X("hour:O", title="hour", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("weekday:O", title=None, sort=list(_WEEKDAYS)),
            color=alt.Color("actions:Q", legend=alt.Legend(title=None, orient="top", gradientLength=200)),
            tooltip=["weekday:O", "hour:O", "actions:Q"],
        )
    )


def cohorts(rows: Sequence[Row], _: date) -> Drawn:
    """Per cent completed in time, week by week."""
    told = [
        {"week": row["week"], "what": name, "percent": row[field], "created": row["created"]}
        for row in rows
        for field, name in _SPANS.items()
        if row[field] is not None
    ]
    return (
        _chart(told)
        .mark_line(point=True)
        .encode(
            x=_day("week"),
            y=alt.Y("percent:Q", title="% of to-dos", scale=alt.Scale(domain=[0, 100])),
            color=_colour("what", _SPANS.values()),
            tooltip=[alt.Tooltip("week:N", title="week from"), "what:N", "percent:Q", "created:Q"],
        )
    )


def retention(rows: Sequence[Row], today: date) -> Drawn:
    """Per cent of each week's people who came back, week after week."""
    active = {(row["cohort"], row["weeks_after"]): row["active"] for row in rows}
    grid = [
        {
            "cohort": f"{cohort} ({registered:,})",
            "weeks_after": after,
            "active": active.get((cohort, after), 0),
            "percent": 100 * active.get((cohort, after), 0) / registered,
        }
        for cohort, registered in sorted({(row["cohort"], row["registered"]) for row in rows})
        for after in range(-(-(today - cohort).days // 7) - 1)  # the weeks that are over everywhere
    ]
    cells = _chart(grid, height=80 + 26 * len({row["cohort"] for row in grid})).encode(
        x=alt.X("weeks_after:O", title="weeks after", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("cohort:O", title="week (people)"),
        tooltip=["cohort:O", "weeks_after:O", "active:Q", "percent:Q"],
    )
    strength = alt.Color("percent:Q", scale=alt.Scale(domain=[0, 100]), legend=None)
    ink = alt.when("datum.percent > 50").then(alt.value(_STRONG))
    return alt.layer(
        cells.mark_rect().encode(color=strength),
        cells.mark_text().encode(text=alt.Text("percent:Q", format=".0f"), color=ink),
    )


def funnel(rows: Sequence[Row], _: date) -> Drawn:
    """What became of all codes."""
    steps = {name: sum(row[name] for row in rows) for name in ("requested", "mailed", "verified")}
    most = steps["requested"] or 1
    told = [
        {"step": name, "codes": count, "share": f"{count:,} ({100 * count / most:.0f} %)"}
        for name, count in steps.items()
    ]
    room = alt.Scale(domain=[0, most * 1.7])  # for what is written behind the longest
    bars = _chart(told, height=150).encode(
        y=alt.Y("step:N", title=None, sort=list(steps)),
        x=alt.X("codes:Q", title="codes", scale=room, axis=alt.Axis(tickMinStep=1, labelOverlap=True)),
        tooltip=["step:N", "codes:Q", "share:N"],
    )
    return alt.layer(bars.mark_bar(), bars.mark_text(align="left", dx=6).encode(text="share:N"))


def sign_ins(rows: Sequence[Row], today: date) -> Drawn:
    """What became of the codes of each day."""
    return _lines(rows, ("requested", "mailed", "verified"), today, "codes")


def _seconds(rows: Sequence[Row], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Waits in seconds, one row for each of these; at least a millisecond, for a logarithm has no zero."""
    return [
        {**row, "what": name, "seconds": max(row[field], 1) / 1000}
        for row in rows
        for field, name in names.items()
        if row[field] is not None
    ]


def _decades() -> alt.Axis:
    return alt.Axis(values=[10.0**power for power in range(-3, 8)], format=",~g", labelOverlap=True)


def mail_time(rows: Sequence[Row], _: date) -> Drawn:
    """Seconds until a code was mailed, day by day."""
    names = {"mail_p50_ms": "p50", "mail_p95_ms": "p95"}
    return (
        _chart(_seconds(rows, names))
        .mark_line(point=True)
        .encode(
            x=_day("day"),
            y=alt.Y("seconds:Q", title="seconds", scale=alt.Scale(type="log"), axis=_decades()),
            color=_colour("what", names.values()),
            tooltip=["day:N", "what:N", "seconds:Q"],
        )
    )


def messages(rows: Sequence[Row], _: date) -> Drawn:
    """What became of messages, by channel and kind."""
    outcomes = ("sent", "failed", "expired", "unknown")
    told = [
        {"message": _label(row), "what": name, "count": row[name], "order": nr}
        for row in rows
        for nr, name in enumerate(outcomes)
        if row[name]
    ]
    return (
        _chart(told, height=60 + 26 * len(rows))
        .mark_bar()
        .encode(
            y=alt.Y("message:N", title=None),
            x=alt.X("count:Q", title="messages", axis=alt.Axis(tickMinStep=1)),
            color=_colour("what", outcomes),
            order="order:Q",
            tooltip=["message:N", "what:N", "count:Q"],
        )
    )


def waits(rows: Sequence[Row], _: date) -> Drawn:
    """Seconds that messages waited, two marks for each day, channel and kind."""
    names = {"wait_p50_ms": "p50", "wait_p95_ms": "p95"}
    told = [{**row, "message": _label(row)} for row in _seconds(rows, names)]
    return (
        _chart(told, height=60 + 26 * len({row["message"] for row in told}))
        .mark_tick(thickness=2)
        .encode(
            y=alt.Y("message:N", title=None),
            x=alt.X("seconds:Q", title="seconds", scale=alt.Scale(type="log"), axis=_decades()),
            color=_colour("what", names.values()),
            tooltip=["day:N", "message:N", "what:N", "seconds:Q"],
        )
    )


def _label(row: Row) -> str:
    return f"{row['channel']}: {row['kind']}"
