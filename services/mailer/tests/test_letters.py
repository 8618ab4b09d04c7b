"""What people read, and what a letter is."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalog.mailer import MailFailed, MailSent
from mailer.delivery import PAUSE_MAX, pause
from mailer.domain import (
    ATTEMPTS_MAX,
    Letter,
    failed,
    has_expired,
    letter_id,
    may_go_again,
    message_id,
    sent,
    settled_as,
)
from mailer.letters import Letters
from mailer.people import Person
from mailer.preview import KINDS
from mailer.preview import facts as example_facts
from mailer.seals import Code
from mailer.words import shortened

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CAUSE = UUID("018f0000-0000-7000-8000-000000000001")
LINK = "https://todo.example/mail/unsubscribe/u1.token"
SENDER = "noreply@todo.example"


def letter(**changes: Any) -> Letter:
    id_ = letter_id(CAUSE, "code")
    fields: dict[str, Any] = {
        "id": id_,
        "kind": "code",
        "cause": CAUSE,
        "subject": CAUSE,
        "correlation_id": "",
        "traceparent": "",
        "happened_at": NOW,
        "expires_at": NOW + timedelta(minutes=5),
        "locale": "ko",
        "message_id": message_id(id_, SENDER),
        "sealed": "",
    }
    return Letter(**{**fields, **changes})


def test_an_event_has_one_letter_of_a_kind_however_often_it_is_heard():
    assert letter_id(CAUSE, "code") == letter_id(CAUSE, "code")
    assert letter_id(CAUSE, "code") != letter_id(CAUSE, "welcome")


def test_the_message_id_is_made_of_the_letter_and_the_sender_s_domain():
    assert message_id(CAUSE, SENDER) == f"<{CAUSE}@todo.example>"


def test_a_letter_may_be_sent_until_its_last_moment_and_not_in_it():
    assert not has_expired(NOW + timedelta(microseconds=1), NOW)
    assert has_expired(NOW, NOW)
    assert not has_expired(None, NOW)


def test_only_a_code_that_lives_is_worth_a_second_copy():
    assert may_go_again(letter(), NOW)
    assert not may_go_again(letter(), NOW + timedelta(minutes=5))
    assert not may_go_again(letter(kind="welcome", expires_at=None), NOW)


def test_a_letter_says_how_long_it_waited_and_how_it_ended():
    told = {"letter_id": letter().id, "kind": "code", "cause": CAUSE}
    assert sent(letter(), NOW + timedelta(seconds=1.5)) == MailSent(**told, waited_ms=1500)
    assert sent(letter(), NOW - timedelta(seconds=1)) == MailSent(**told, waited_ms=0)
    assert failed(letter(), "expired") == MailFailed(**told, reason="expired")
    assert [settled_as(reason) for reason in ("refused", "unreadable", "gave_up", "expired", "unknown")] == [
        "failed",
        "failed",
        "failed",
        "expired",
        "unknown",
    ]


@pytest.mark.parametrize(("late", "minutes"), [(0, "5분"), (0.2, "5분"), (-0.2, "5분"), (125, "3분"), (299, "1분")])
def test_a_late_code_says_the_minutes_that_it_still_lives(late: float, minutes: str):
    mail = write(letter(), now=NOW + timedelta(seconds=late))
    assert f"이 코드는 {minutes} 후에 만료됩니다" in mail.text


def test_a_letter_is_plain_ascii_on_the_wire_and_the_same_at_each_attempt():
    first, second = write(letter()), write(letter())
    assert first.content == second.content
    assert first.content.isascii()
    assert all(len(line) <= 998 for line in first.content.split(b"\r\n"))


def test_the_product_s_name_is_escaped_in_html_and_in_html_alone():
    mail = write(letter(locale="en"), product="Tom & <b>Jerry</b>")
    message = message_from_bytes(mail.content, policy=default)
    assert mail.subject == "🔐 Your OTP Code - Tom & <b>Jerry</b>" == message["Subject"]
    assert "Tom & <b>Jerry</b> Team" in mail.text
    assert "Tom &amp; &lt;b&gt;Jerry&lt;/b&gt; Team" in message.get_body(("html",)).get_content()


@pytest.mark.parametrize("locale", ["ko", "en"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "code"])
def test_every_notice_can_be_stopped_by_a_link_of_any_length_and_is_plain_ascii_on_the_wire(kind: Any, locale: Any):
    link = "https://todo-api." + "a-long-name." * 8 + "example/mail/unsubscribe/u1.token"
    name = "아주 긴 이름을 가진 사람"
    notice = letter(kind=kind, expires_at=None, sealed=None)
    person = Person(recipient="person@example.com", name=name, locale=locale, zone=UTC)
    letters, now = Letters("할 일 & API", SENDER, lambda user_id, kind: link), datetime(2026, 11, 28, 7, tzinfo=UTC)
    mail = letters.write_notice(notice, person, facts(kind), now)
    assert mail.content.isascii()
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))
    assert f"\r\n <{link}>\r\n".encode() in mail.content
    message = message_from_bytes(mail.content, policy=default)
    assert message["List-Unsubscribe"].strip() == f"<{link}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Date"].datetime == now, "not when its event happened: it may have been held"
    assert message["To"].addresses[0].display_name == name
    assert message["Subject"] == mail.subject
    assert link in mail.text
    html = message.get_body(("html",)).get_content()
    assert f'href="{link}"' in html
    assert "&lt;b&gt;" in html or kind not in {"completion", "due_soon", "overdue"}
    assert "<b>" not in html
    assert "할 일 &amp; API" in html


def test_a_name_that_no_header_can_hold_unharmed_is_left_to_the_letter():
    person = Person(recipient="person@example.com", name="하늘, " * 25, locale="ko", zone=UTC)
    notice = letter(kind="welcome", expires_at=None, sealed=None)
    letters = Letters("Todo API", SENDER, lambda user_id, kind: LINK)
    mail = letters.write_notice(notice, person, facts("welcome"), datetime.now(UTC))
    assert message_from_bytes(mail.content, policy=default)["To"] == "person@example.com"
    assert person.name in mail.text


def test_a_name_with_line_ends_adds_no_header():
    person = Person(recipient="person@example.com", name="Eve\r\nBcc: eve@example.com", locale="en", zone=UTC)
    notice = letter(kind="welcome", expires_at=None, sealed=None)
    letters = Letters("Todo API", SENDER, lambda user_id, kind: LINK)
    mail = letters.write_notice(notice, person, facts("welcome"), datetime.now(UTC))
    message = message_from_bytes(mail.content, policy=default)
    assert message["Bcc"] is None
    assert [address.addr_spec for address in message["To"].addresses] == ["person@example.com"]


def test_a_long_name_of_the_product_stands_whole_in_words_that_no_reader_refuses():
    product = "아주 긴 제품 이름 " * 10 + "끝"
    raw = message_from_bytes(write(letter(), product=product).content)["From"]  # Python's newer parser parts the words
    assert str(make_header(decode_header(raw))) == f"{product} <{SENDER}>"
    lines = write(letter(), product=product).content.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert all(len(line) <= 78 for line in lines)


def test_a_title_is_one_line_in_a_subject_and_no_longer_than_fits():
    assert shortened("우유\r\nBcc: eve@example.com\u2028사기") == "우유 Bcc: eve@example.com 사기"
    assert len(shortened("할" * 200)) == 60


def facts(kind: str) -> list[str]:
    """What a notice tells, with a title that would be a tag."""
    return [msgspec.json.encode(each).decode().replace("우유", "<b>") for each in example_facts(kind, "ko")]


@given(st.integers(1, ATTEMPTS_MAX))
def test_letters_that_wait_out_the_same_failure_do_not_come_back_in_step(attempts: int):
    pauses = [pause(attempts) for _ in range(20)]
    assert len(set(pauses)) > 1
    assert max(pauses) <= min(2.0 ** (attempts - 1), PAUSE_MAX)


def write(to_write: Letter, *, product: str = "Todo API", now: datetime = NOW) -> Any:
    code = Code("person@example.com", "519834", NOW + timedelta(minutes=5))
    return Letters(product, SENDER, lambda user_id, kind: LINK).write_code(to_write, code, now)
