"""Notifications as people read them: made of kind and data when they are read, in the reader's language."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from api.messages import Locale, Text
from notifier.domain import Kind

TITLES: Final[Mapping[Kind, Text]] = {
    "completion": Text("Completed", "완료했어요"),
    "due_soon": Text("Due soon", "마감이 다가와요"),
    "overdue": Text("Overdue", "마감이 지났어요"),
    "weekly_report": Text("Your week", "주간 보고서"),
    "monthly_report": Text("Your month", "월간 보고서"),
}

BODIES: Final[Mapping[Kind, Text]] = {
    "completion": Text("“{title}” is done. Well done!", "“{title}” 할 일을 마쳤어요. 잘하셨어요!"),
    "due_soon": Text("“{title}” is due on {due}.", "“{title}” 할 일의 마감은 {due}입니다."),
    "overdue": Text("“{title}” was due on {due}.", "“{title}” 할 일의 마감은 {due}였습니다."),
    "weekly_report": Text(
        "You completed {completed} and created {created}; {overdue} went overdue.",
        "완료 {completed}개, 새로 만든 할 일 {created}개, 마감이 지난 할 일 {overdue}개입니다.",
    ),
    "monthly_report": Text(
        "You completed {completed} and created {created}; {overdue} went overdue this month.",
        "이번 달에는 완료 {completed}개, 새로 만든 할 일 {created}개, 마감이 지난 할 일 {overdue}개입니다.",
    ),
}


class Words(msgspec.Struct, frozen=True):
    """A notification's title and body in one language."""

    title: str
    body: str


CODE: Final = Text(
    "Your code is {code}. It is good for 10 minutes; tell it to nobody.",
    "인증번호는 {code}입니다. 10분 동안 유효하며, 다른 사람에게 알려 주지 마세요.",
)


def words_of(kind: Kind, data: Mapping[str, Any], locale: Locale) -> Words:
    """What a notification of a kind says about its data (as JSON has it)."""
    values = {**data, **data.get("figures", {})}
    if "due_at" in data:
        values["due"] = _moment(data["due_at"], data.get("due_zone"))
    return Words(TITLES[kind].to(locale), BODIES[kind].to(locale, **values))


def code_words(code: str, locale: Locale) -> Words:
    """What the message with a code says."""
    return Words("", CODE.to(locale, code=code))


def _moment(text: str, zone: str | None) -> str:
    """A deadline as its wall shows it; in UTC where it names no zone that is known, or no calendar has it there."""
    moment = datetime.fromisoformat(text)
    if zone:
        with suppress(LookupError, OverflowError, ValueError):
            return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    return f"{moment:%Y-%m-%d %H:%M} UTC"
