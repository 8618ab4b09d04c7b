"""In development a code comes on the console."""

from email import message_from_bytes
from email.policy import default
from pathlib import Path

from mailing import Post, asked, service

BLOCK = """
==================================================
📧 EMAIL SENT (Development Mode)
==================================================
To: person@example.com
Subject: 🔐 Your OTP Code - Todo API
Body:
안녕하세요! 👋

Todo API에서 요청하신 OTP 코드입니다.

🔐 **OTP 코드: 519834**

⚠️ **중요 사항:**
- 이 코드는 5분 후에 만료됩니다
- 보안을 위해 다른 사람과 공유하지 마세요
- 이 코드는 한 번만 사용할 수 있습니다

문의사항이 있으시면 언제든지 연락주세요.

감사합니다! 🙏
Todo API Team
==================================================

"""


async def test_a_code_that_was_asked_for_comes_on_the_console_byte_for_byte(post: Post, tmp_path: Path):
    async with service(post, tmp_path) as process:
        cause = await post.auth.say(asked("519834"))
        letter = await post.settled(cause, "sent")
    [said] = await post.said()
    assert (said.letter_id, said.cause, said.kind) == (letter["id"], cause.id, "code")
    assert process.stdout.decode() == BLOCK
    for secret in (b"519834", b"person@example.com"):
        assert secret not in process.stderr
    [kept] = (tmp_path / "mails").iterdir()
    assert kept.name == f"{letter['id']}.eml"
    assert message_from_bytes(kept.read_bytes(), policy=default)["To"] == "person@example.com"
