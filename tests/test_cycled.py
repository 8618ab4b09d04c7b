"""Load of many prepared requests by turns, and sign-in codes that come by mail: what `bench-routes` stands on."""

import re
import shutil
from collections import Counter
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import aiosmtplib
import msgspec
import pytest
from bench.codes import Mailbox
from bench.cycled import cycled, line

from answering import answering
from local.ports import free_port

_GENERATORS = [
    "cycled.py",
    pytest.param("wrk", marks=pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk here")),
]


@pytest.fixture(params=_GENERATORS)
def generator(request, monkeypatch):
    if request.param == "cycled.py":
        monkeypatch.setattr("bench.generators.shutil.which", lambda _: None)


async def test_requests_go_out_by_turns_each_with_its_method_token_and_body(generator):
    came = Counter()

    async def answer(head: str, body: bytes) -> tuple[int, bytes]:
        token = re.search(r"(?i)authorization: Bearer (\S+)", head)
        came[" ".join(head.split()[:2]), token and token[1], body.decode()] += 1
        return 200, b""

    lines = [line("PATCH", "/a/toggle", "t"), line("GET", "/b?x=1"), line("POST", "/c", "u", '{"title":"우유 사기"}')]
    async with answering(answer) as url:
        result = await cycled(url, lines, connections=3, seconds=1)

    assert set(came) == {
        ("PATCH /a/toggle", "t", ""),
        ("GET /b?x=1", None, ""),
        ("POST /c", "u", '{"title":"우유 사기"}'),
    }
    assert max(came.values()) - min(came.values()) <= 1
    assert result.answered <= came.total() <= result.answered + 3
    assert result.failed == 0
    assert 0 < result.p50 <= result.p99 <= result.p999


@pytest.mark.parametrize("other", [201, 409])
async def test_any_other_status_counts_as_failed(generator, other):
    statuses = iter([200] * 10)

    async def answer(head: str, body: bytes) -> tuple[int, bytes]:
        return next(statuses, other), b""

    async with answering(answer) as url:
        result = await cycled(url, [line("GET", "/")], connections=2, seconds=1)

    assert result.failed == result.answered - 10


async def test_codes_are_read_from_the_letters_to_those_who_asked():
    mailbox, port, challenges = Mailbox(), free_port(), {}

    async def answer(head: str, body: bytes) -> tuple[int, bytes]:
        email = msgspec.json.decode(body)["email"]
        challenges[email] = f"challenge {len(challenges)}"
        letter = MIMEMultipart("alternative")
        letter.attach(MIMEText(f"OTP: {len(challenges):06d}", "plain", "utf-8"))
        letter.attach(MIMEText("<p>color: #123456</p>", "html", "utf-8"))
        await aiosmtplib.send(letter, sender="a@example.org", recipients=email, hostname="127.0.0.1", port=port)
        return 200, msgspec.json.encode({"data": {"challenge_id": challenges[email]}})

    async with mailbox.serving(port), answering(answer) as url:
        bodies = [msgspec.json.decode(body) for body in await mailbox.answers_to(url, 40)]

    assert {body["email"]: body["challenge_id"] for body in bodies} == challenges
    assert {body["otp_code"] for body in bodies} == {f"{number:06d}" for number in range(1, 41)}
