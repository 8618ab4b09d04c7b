"""SMS by Twilio's API (https://www.twilio.com/docs/messaging/api/message-resource), or whatever speaks it."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

import httpx
import msgspec

from notifier.providers import Mark, Push, Refused, Target, Unregistered, Unsure, not_now, posted

LONGEST_LIFE: Final = 36_000
"""Seconds that a message may wait at the provider, at most (`ValidityPeriod`)."""

# Their error codes for a number that is none, none that can be sent to, and one whose owner answered STOP.
_GONE: Final = frozenset({21211, 21214, 21217, 21610, 21614})
_NOT_NOW: Final = frozenset({401, 403, 404, 429, 503})

_CODE: Final = b"phone code\0"
_NUMBER: Final = b"phone number\0"


def code_of(key: bytes, challenge_id: UUID) -> str:
    """The six digits that prove a phone: HOTP's (RFC 4226) over HMAC-SHA-256 of the challenge. None is written down."""
    mac = hmac.digest(key, _CODE + challenge_id.bytes, sha256)
    at = mac[-1] & 0xF
    return f"{(int.from_bytes(mac[at : at + 4]) & 0x7FFF_FFFF) % 1_000_000:06}"


def is_code_of(keys: Sequence[bytes], challenge_id: UUID, code: str) -> bool:
    """Whether six digits prove a phone by any of the keys; each is compared, so that time tells nothing."""
    same = [hmac.compare_digest(code_of(key, challenge_id), code) for key in keys]
    return any(same)


def hash_of(key: bytes, number: str) -> bytes:
    """A number (E.164) as codes to it are counted: HMAC-SHA-256. Without the key nobody can try all numbers."""
    return hmac.digest(key, _NUMBER + number.encode(), sha256)


class _Refusal(msgspec.Struct, frozen=True):
    code: int = 0


class Sms:
    """Sends short messages at `url` as the account `sid`, from the number `sender`; `name` says in whose name."""

    def __init__(self, client: httpx.AsyncClient, url: str, *, sid: str, token: str, sender: str, name: str) -> None:
        self._client = client
        self._url = f"{url}/2010-04-01/Accounts/{sid}/Messages.json"
        self._login = (sid, token)
        self._sender = sender
        self._name = name

    async def send(self, target: Target, push: Push, mark: Mark) -> None:
        """Send once; raises what `notifier.providers` names. It knows no idempotency: what is unsure stays so."""
        form = {
            "To": target.address,
            "From": self._sender,
            "Body": f"[{self._name}] {push.words.body}",
            "ValidityPeriod": str(min(push.lives, LONGEST_LIFE)),
        }
        request = self._client.build_request("POST", self._url, data=form)
        answer = await posted(self._client, mark, request, auth=self._login)
        if not answer.is_success:
            raise failure_of(answer)


def failure_of(answer: httpx.Response) -> Exception:
    """What a refusal means; a wrong account (401, 403, 404) is the operator's to mend, and waited for.

    Another 5xx may come after the message was taken: sent again, it might come twice.
    """
    code = _code(answer.content)
    if code in _GONE:
        return Unregistered(str(code))
    if answer.status_code in _NOT_NOW:
        return not_now(answer)
    if answer.status_code >= 500:
        return Unsure(str(answer.status_code))
    return Refused(str(code or answer.status_code))


def _code(body: bytes) -> int:
    try:
        return msgspec.json.decode(body, type=_Refusal).code
    except msgspec.DecodeError:
        return 0
