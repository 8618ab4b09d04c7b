"""Sign-in codes by mail: asked for by people who are new, read from their letters, ready to be answered."""

import asyncio
import re
from collections.abc import Sequence
from email import message_from_bytes
from typing import Any, Final
from uuid import uuid4

import msgspec

from bench.counts import Unsound
from bench.letterbox import Letterbox
from bench.requests import Answer, Connection, post

AT_ONCE: Final = 32
_CODE: Final = re.compile(r"\b\d{6}\b")
_WITHIN: Final = 180.0
_LOOK: Final = 0.05


class Mailbox(Letterbox):
    """A mail server that answers at once, and what its letters are for."""

    def __init__(self) -> None:
        super().__init__(delay=0)

    async def answers_to(self, auth: str, count: int) -> list[str]:
        """Ask auth (its URL) for as many codes, each for an address that nobody had; the bodies that answer them."""
        self.letters.clear()
        emails = new_addresses(count)
        requests = [post(auth, "/users/request-otp", f'{{"email":"{email}"}}'.encode(), "") for email in emails]
        asked = [data_of(answer) for answer in await answers(auth, requests, 200)]
        try:
            async with asyncio.timeout(_WITHIN):
                while not self.letters.keys() >= set(emails):  # noqa: ASYNC110 - the mailer's doing
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            raise Unsound(f"{count} codes were asked for, {len(self.letters)} mails came") from None
        return [self._body(email, each["challenge_id"]) for email, each in zip(emails, asked, strict=True)]

    def _body(self, email: str, challenge_id: str) -> str:
        body = {"email": email, "challenge_id": challenge_id, "otp_code": _code(self.letters[email])}
        return msgspec.json.encode(body).decode()


def new_addresses(count: int) -> list[str]:
    """Addresses of people who are new."""
    family = uuid4().hex
    return [f"{number:06d}.{family}@example.org" for number in range(count)]


async def answers(url: str, requests: Sequence[bytes], status: int) -> list[Answer]:
    """The answers to requests, in their order; raises `Unsound` for another status."""
    left = iter(enumerate(requests))
    found: dict[int, Answer] = {}

    async def client() -> None:
        connection = await Connection.open(url)
        for number, request in left:
            found[number] = answer = Answer(*await connection.call(request))
            if answer.status != status:
                raise Unsound(f"{request.partition(b'HTTP')[0].decode()}: {answer.status} {answer.body.decode()}")
        connection.close()

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return [found[number] for number in range(len(requests))]


def data_of(answer: Answer) -> dict[str, Any]:
    """What an answer says, without its envelope."""
    data: dict[str, Any] = msgspec.json.decode(answer.body)["data"]
    return data


def _code(letter: bytes) -> str:
    """The code in the text of a letter; raises `Unsound` where there is none."""
    parts = (part for part in message_from_bytes(letter).walk() if part.get_content_type() == "text/plain")
    texts = (part.get_payload(decode=True) for part in parts)
    text = b"".join(each for each in texts if isinstance(each, bytes)).decode()
    found = _CODE.search(text)
    if found is None:
        raise Unsound(f"a letter without a code: {text}")
    return found[0]
