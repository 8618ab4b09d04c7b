"""What letters tell of events, in a person's language and time zone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

import msgspec

from api.messages import Text
from events.catalog.activity import Figures, ReportReady
from events.catalog.auth import Locale
from events.catalog.mailer import NoticeKind
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled
from mailer.people import zone_of

_FACTS: Final[Mapping[NoticeKind, type[msgspec.Struct]]] = {
    "completion": TodoToggled,
    "due_soon": TodoDueSoon,
    "overdue": TodoOverdue,
    "weekly_report": ReportReady,
    "monthly_report": ReportReady,
}
_SUBJECT_LENGTH: Final = 60
_DAYS: Final = (
    Text("Mon", "월"),
    Text("Tue", "화"),
    Text("Wed", "수"),
    Text("Thu", "목"),
    Text("Fri", "금"),
    Text("Sat", "토"),
    Text("Sun", "일"),
)
_DATE: Final = Text("{day} {y}-{m:02}-{d:02}", "{y}년 {m}월 {d}일 ({day})")
_CREATED: Final = Text("Created", "만든 할 일")
_COMPLETED: Final = Text("Completed", "완료한 할 일")
_RATE: Final = Text("Completion rate", "완료율")
_STREAK: Final = Text("Days in a row", "연속 완료 일수")
_BUSIEST: Final = Text("Busiest hours", "가장 바쁜 시간")
_OVERDUE: Final = Text("Deadlines missed", "지난 마감")


class Todo(msgspec.Struct, frozen=True):
    """A to-do as a letter names it."""

    title: str
    due: str = ""


class Row(msgspec.Struct, frozen=True):
    """A figure; `before` is that of the period before, empty where there is none."""

    name: str
    value: str
    before: str = ""


def shortened(title: str) -> str:
    """A title as it fits into a subject: one line, cut with an ellipsis."""
    line = one_line(title)
    return line if len(line) <= _SUBJECT_LENGTH else f"{line[: _SUBJECT_LENGTH - 1].rstrip()}…"


def one_line(text: str) -> str:
    """A text without line ends and other control characters: it stands in headers and lists."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def words_of(kind: NoticeKind, facts: Sequence[str], locale: Locale, zone: tzinfo) -> dict[str, Any]:
    """What the template of a kind is filled with."""
    if kind == "welcome":
        return {}
    events = [msgspec.json.decode(each, type=_FACTS[kind]) for each in facts]
    if isinstance(report := events[0], ReportReady):
        return _report(report, locale)
    return {"todos": [_todo(event, locale, zone) for event in events]}


def _todo(event: msgspec.Struct, locale: Locale, zone: tzinfo) -> Todo:
    match event:
        case TodoDueSoon() | TodoOverdue():
            return Todo(one_line(event.title), moment(event.due_at, locale, zone))
        case TodoToggled():
            return Todo(one_line(event.title))
    raise TypeError(f"no letter tells of {type(event).__name__}")


def _report(report: ReportReady, locale: Locale) -> dict[str, Any]:
    zone = zone_of(report.timezone)
    first = report.start.astimezone(zone)
    last = report.end.astimezone(zone) - timedelta(seconds=1)
    before = dict(_figures(report.previous, locale)) if report.previous else {}
    rows = [Row(name, value, before.get(name, "")) for name, value in _figures(report.figures, locale)]
    return {"period": f"{_day(first, locale)} - {_day(last, locale)}", "rows": rows, "compared": bool(before)}


def _figures(figures: Figures, locale: Locale) -> Sequence[tuple[str, str]]:
    rate = "-" if figures.completion_rate is None else f"{figures.completion_rate:.0%}"
    hours = ", ".join(f"{hour:02}:00" for hour in figures.busiest_hours) or "-"
    return [
        (_CREATED.to(locale), str(figures.created)),
        (_COMPLETED.to(locale), str(figures.completed)),
        (_RATE.to(locale), rate),
        (_STREAK.to(locale), str(figures.streak)),
        (_BUSIEST.to(locale), hours),
        (_OVERDUE.to(locale), str(figures.overdue)),
    ]


def moment(at: datetime, locale: Locale, zone: tzinfo) -> str:
    """A time of day with its date and the name of its zone."""
    try:
        there = at.astimezone(zone)
    except OverflowError:  # the first day of all, or the last, is not everywhere
        there = at
    return f"{_day(there, locale)} {there:%H:%M} {there.tzname()}"


def _day(day: datetime, locale: Locale) -> str:
    return _DATE.to(locale, day=_DAYS[day.weekday()].to(locale), y=day.year, m=day.month, d=day.day)
