"""FCM, Google's token service, a push service and Twilio, played over HTTP as they document themselves."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.outgoing import trust
from api.testing import serving
from notifier.sms import Sms


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# What an assertion names, wherever the account's `token_uri` points (google-auth fixes it).
TOKEN_AUDIENCE = "https://oauth2.googleapis.com/token"
ACCOUNT_KEY = rsa.generate_private_key(65537, 2048)
VAPID_KEY = base64url(bytes(31) + b"\x07")


def fcm_error(status: str, code: str) -> bytes:
    """As google.firebase.fcm.v1.FcmError comes."""
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    return json.dumps({"error": {"status": status, "details": [{"@type": kind, "errorCode": code}]}}).encode()


def twilio_error(code: int) -> bytes:
    """As Twilio's REST API refuses."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return json.dumps({"code": code, "message": "refused", "more_info": more, "status": 400}).encode()


@dataclass
class Answer:
    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False


@dataclass
class Played:
    """A provider: what it was asked, and what it answers next (then 200 or 201 again)."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    tokens: list[str] = field(default_factory=list)
    token_answers: deque[Answer] = field(default_factory=deque)
    hesitates: float = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["path"] == "/token":
            answer = self.token_answers.popleft() if self.token_answers else self._token(body)
        else:
            self.asked.append({"path": scope["path"], "headers": headers, "body": body})
            created = scope["path"].startswith(("/web", "/sms"))
            usual = Answer(201 if created else 200, b'{"name":"projects/p/messages/1"}')
            answer = self.answers.popleft() if self.answers else usual
        await asyncio.sleep(30 if answer.hangs else self.hesitates)
        pairs = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body})

    def _token(self, body: bytes) -> Answer:
        """RFC 7523: an assertion signed by the account for Google's endpoint."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        claims = jwt.decode(form["assertion"], ACCOUNT_KEY.public_key(), algorithms=["RS256"], audience=TOKEN_AUDIENCE)
        assert claims["iss"] == "push@p.iam.gserviceaccount.com"
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        self.tokens.append(f"token-{len(self.tokens) + 1}")
        return Answer(
            200,
            json.dumps({"access_token": self.tokens[-1], "expires_in": 3599, "token_type": "Bearer"}).encode(),
            {"content-type": "application/json"},
        )

    @property
    def account(self) -> str:
        """The service account's key file."""
        pem = ACCOUNT_KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "p",
                "private_key_id": "k",
                "private_key": pem.decode(),
                "client_email": "push@p.iam.gserviceaccount.com",
                "token_uri": f"{self.url}/token",
            }
        )


@asynccontextmanager
async def playing(port: int = 0) -> AsyncIterator[Played]:
    played = Played()
    async with serving(played, drain=0.1, port=port) as http:
        played.url = str(http.base_url).rstrip("/")
        yield played


class Browser:
    """A browser's end of a subscription: reads what was encrypted for it (RFC 8291)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = b"0123456789abcdef"

    @property
    def keys(self) -> dict[str, str]:
        return {"p256dh": base64url(self._point()), "auth": base64url(self._auth)}

    def read(self, body: bytes) -> dict[str, Any]:
        salt, size, length = body[:16], int.from_bytes(body[16:20]), body[20]
        theirs, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(sealed) <= size
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = derive(
            self._key.exchange(ec.ECDH(), public), self._auth, b"WebPush: info\0" + self._point() + theirs, 32
        )
        key = derive(shared, salt, b"Content-Encoding: aes128gcm\0", 16)
        text = AESGCM(key).decrypt(derive(shared, salt, b"Content-Encoding: nonce\0", 12), sealed, None)
        return json.loads(text.rstrip(b"\0").removesuffix(b"\x02"))

    def _point(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )


def derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def vapid_claims(authorization: str, audience: str) -> dict[str, Any]:
    """What a push service checks (RFC 8292, section 2)."""
    token, key = (part.split("=", 1)[1] for part in authorization.removeprefix("vapid ").split(", "))
    raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    return jwt.decode(token, public, algorithms=["ES256"], audience=audience)


def twilio(http: httpx.AsyncClient, played: Played) -> Sms:
    """What sends messages by a provider that is played."""
    url = f"{played.url}/sms"
    return Sms(http, url, sid="AC1", token="secret", sender="+15005550006", name="Todo API")


def client() -> httpx.AsyncClient:
    """For providers that are played: they speak plain HTTP."""
    return httpx.AsyncClient(timeout=0.5, verify=trust())
