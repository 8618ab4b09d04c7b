"""Letters with example data, to be looked at: `python -m mailer preview KIND --locale ko`."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Final, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from events.catalog.activity import Figures, ReportReady
from events.catalog.auth import Locale
from events.catalog.mailer import MailKind
from events.catalog.todos import TodoDueSoon, TodoOverdue, TodoToggled
from mailer.domain import Letter, letter_id, message_id
from mailer.letters import Letters, Mail
from mailer.people import Person
from mailer.seals import Code

KINDS: Final[Sequence[MailKind]] = get_args(MailKind)
LOCALES: Final[Sequence[Locale]] = get_args(Locale)
_SOMEBODY: Final = UUID("018f0000-0000-7000-8000-000000000001")
_CAUSE: Final = UUID("018f0000-0000-7000-8000-000000000002")
_NOW: Final = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_RECIPIENT: Final = "person@example.com"
_SENDER: Final = "noreply@todo.example"
_TITLES: Final[dict[Locale, Sequence[str]]] = {
    "ko": ("우유 사기", "분기 보고서 초안을 팀장님께 보내기", "도서관에 책 반납"),
    "en": ("Buy milk", "Send the draft of the quarterly report to the team lead", "Return the books to the library"),
}
_NAMES: Final[dict[Locale, str]] = {"ko": "김하늘", "en": "Ann"}


def preview(arguments: Sequence[str]) -> None:
    """Write letters as text, HTML and as they are posted, and say where; exits with a usage line for what is none."""
    parser = argparse.ArgumentParser(prog="python -m mailer preview")
    parser.add_argument("kind", choices=(*KINDS, "all"))
    parser.add_argument("--locale", choices=LOCALES)
    parser.add_argument("--out", type=Path, default=Path("var/preview"))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for kind in KINDS if chosen.kind == "all" else [chosen.kind]:
        for locale in [chosen.locale] if chosen.locale else LOCALES:
            for file in write(example(kind, locale), chosen.out / f"{kind}.{locale}"):
                print(file)  # noqa: T201 - it talks to a person


def write(mail: Mail, path: Path) -> Iterator[Path]:
    """Write a letter's parts beside one another; the files."""
    html = message_from_bytes(mail.content, policy=default).get_body(("html",))
    parts = {
        "txt": f"Subject: {mail.subject}\n\n{mail.text}\n".encode(),
        "html": str(html and html.get_content()).encode(),
        "eml": mail.content,
    }
    for suffix, content in parts.items():
        file = path.with_name(f"{path.name}.{suffix}")
        file.write_bytes(content)
        yield file


def example(kind: MailKind, locale: Locale) -> Mail:
    """A letter as somebody might get it."""
    letters = Letters("Todo API", _SENDER, lambda _, kind: f"https://todo.example/mail/unsubscribe/k1.{kind}")
    id_ = letter_id(_CAUSE, kind)
    letter = Letter(
        id=id_,
        kind=kind,
        cause=_CAUSE,
        subject=_SOMEBODY,
        correlation_id="",
        traceparent="",
        happened_at=_NOW,
        expires_at=None,
        locale=locale,
        message_id=message_id(id_, _SENDER),
    )
    if kind == "code":
        return letters.write_code(letter, Code(_RECIPIENT, "519834", _NOW + timedelta(minutes=5)), _NOW)
    zone = ZoneInfo("Asia/Seoul")
    person = Person(recipient=_RECIPIENT, name=_NAMES[locale], locale=locale, zone=zone)
    encoded = [msgspec.json.encode(each).decode() for each in facts(kind, locale)]
    return letters.write_notice(letter, person, encoded, letter.happened_at)


def facts(kind: MailKind, locale: Locale) -> Sequence[msgspec.Struct]:
    """What a notice of a kind tells."""
    titles = _TITLES[locale]
    match kind:
        case "completion":
            return [TodoToggled(todo_id=_CAUSE, title=title, priority=3, completed=True) for title in titles]
        case "due_soon" | "overdue":
            made = TodoDueSoon if kind == "due_soon" else TodoOverdue
            due_at = _NOW + timedelta(hours=1 if kind == "due_soon" else -1)
            return [made(todo_id=_CAUSE, title=titles[0], priority=1, due_at=due_at, due_zone="Asia/Seoul")]
        case "weekly_report" | "monthly_report":
            return [_report(monthly=kind == "monthly_report")]
    return []


def _report(*, monthly: bool) -> ReportReady:
    zone = ZoneInfo("Asia/Seoul")
    return ReportReady(
        user_id=_SOMEBODY,
        period="month" if monthly else "week",
        start=datetime(2026, 10, 1, tzinfo=zone) if monthly else datetime(2026, 11, 16, tzinfo=zone),
        end=datetime(2026, 11, 1, tzinfo=zone) if monthly else datetime(2026, 11, 23, tzinfo=zone),
        timezone="Asia/Seoul",
        figures=Figures(created=12, completed=9, completion_rate=0.75, streak=3, busiest_hours=(9, 21), overdue=1),
        previous=Figures(created=8, completed=4, completion_rate=0.5, streak=1, busiest_hours=(8,), overdue=3),
    )
