"""The page behind the link in a letter: it shows what is stopped, and a button; without script, in both languages."""

from collections.abc import Mapping
from html import escape
from typing import Final

from api.answers import Answer, private
from api.messages import Locale, Text
from events.catalog.mailer import NoticeKind

NAMES: Final[Mapping[NoticeKind, Text]] = {
    "welcome": Text("welcome letters", "환영 메일"),
    "completion": Text("letters about completed to-dos", "완료 알림 메일"),
    "due_soon": Text("reminders of deadlines", "마감 예정 알림 메일"),
    "overdue": Text("letters about missed deadlines", "마감 지남 알림 메일"),
    "weekly_report": Text("weekly reports", "주간 보고서 메일"),
    "monthly_report": Text("monthly reports", "월간 보고서 메일"),
}
ASKED: Final = Text("Stop {kind}?", "{kind}을 그만 받으시겠습니까?")
STOPPED: Final = Text("You get no more {kind}.", "{kind}을 더 이상 보내지 않습니다.")
_BUTTON: Final = Text("Stop them", "그만 받기")
_PAGE: Final = """\
<!doctype html>
<html lang="{locale}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>{text}</title></head>
<body style="font-family: sans-serif; max-width: 32em; margin: 4em auto; padding: 0 1em; line-height: 1.6">
<p>{text}</p>
{button}</body>
</html>
"""
_HEADERS: Final = {
    # The token is in the address: nobody else learns it, and nobody frames the button.
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
}


def page_of(text: Text, kind: NoticeKind, locale: Locale) -> Answer[str]:
    """The page that asks (with its button) or says that it is done."""
    form = f'<form method="post"><button>{_BUTTON.to(locale)}</button></form>\n' if text is ASKED else ""
    words = escape(text.to(locale, kind=NAMES[kind].to(locale)))
    page = _PAGE.format(locale=locale, text=words, button=form)
    return private(Answer(page.encode(), headers=_HEADERS, media="text/html; charset=utf-8"))
