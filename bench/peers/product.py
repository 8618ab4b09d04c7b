"""What every peer serves alike: its settings, who is signed in, bodies, answers, and the mail that brings a code."""

import os
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Annotated, Final, Generic, TypeVar

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, EmailStr, Field

T = TypeVar("T")

DATABASE: Final = os.environ.get("DATABASE_URL", "").removeprefix("postgres://")
"""Without its scheme: each driver has another."""
NATS_URL: Final = os.environ.get("NATS_URL", "")
REDIS_URL: Final = os.environ.get("REDIS_URL", "")
SMTP_HOST: Final = "127.0.0.1"
SMTP_PORT: Final = int(os.environ.get("SMTP_PORT", "25"))
STREAM: Final = os.environ.get("STREAM", "")
"""The peer's stream; its subjects begin so, too."""
CONNECTIONS: Final = int(os.environ.get("DATABASE_CONNECTIONS", "32"))
MAILS_AT_ONCE: Final = int(os.environ.get("SMTP_CONNECTIONS", "4"))
MINUTES: Final = 5
_SECRET: Final = os.environ.get("JWT_SECRET", "")

_TEXT: Final = """\
안녕하세요! 👋

Todo API에서 요청하신 OTP 코드입니다.

🔐 **OTP 코드: {code}**

⚠️ **중요 사항:**
- 이 코드는 {minutes}분 후에 만료됩니다
- 보안을 위해 다른 사람과 공유하지 마세요
- 이 코드는 한 번만 사용할 수 있습니다

문의사항이 있으시면 언제든지 연락주세요.

감사합니다! 🙏
Todo API Team
"""


class NewTodo(BaseModel):
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    priority: Annotated[int, Field(ge=1, le=5)] = 3


class TodoOut(NewTodo):
    """A to-do as it was stored; also what its workers are told."""

    id: uuid.UUID
    user_id: uuid.UUID
    completed: bool = False
    created_at: datetime

    @property
    def details(self) -> dict[str, object]:
        """What its activity row says of it."""
        return {
            "todo_id": str(self.id),
            "title": self.title,
            "priority": self.priority,
            "completed": self.completed,
        }


class AskForCode(BaseModel):
    email: EmailStr


class CodeSent(BaseModel):
    email: str
    expires_in_minutes: int = MINUTES


class Code(BaseModel):
    """A code on its way to somebody."""

    email: str
    code: str


class Envelope(BaseModel, Generic[T]):
    message_key: str
    message: str
    data: T


async def _person(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> uuid.UUID:
    try:
        return uuid.UUID(jwt.decode(token.credentials, _SECRET, algorithms=["HS256"])["sub"])
    except (jwt.PyJWTError, KeyError, ValueError):
        raise HTTPException(401, headers={"www-authenticate": "Bearer"}) from None


SignedIn = Annotated[uuid.UUID, Depends(_person)]
"""The id of whoever the bearer token names; 401 where it names nobody."""


def todo_of(body: NewTodo, person: uuid.UUID) -> TodoOut:
    return TodoOut(**body.model_dump(), id=uuid.uuid4(), user_id=person, created_at=datetime.now(UTC))


def created(todo: TodoOut) -> Envelope[TodoOut]:
    return Envelope(message_key="todo.created", message="Todo created successfully", data=todo)


def code_for(body: AskForCode) -> Code:
    return Code(email=body.email, code=f"{secrets.randbelow(10**6):06}")


def expiry() -> datetime:
    """When a code that is made now is over."""
    return datetime.now(UTC) + timedelta(minutes=MINUTES)


def sent(code: Code) -> Envelope[CodeSent]:
    return Envelope(message_key="otp.sent", message="OTP sent successfully", data=CodeSent(email=code.email))


def mail_of(code: Code) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "noreply@todo.localhost", code.email, "🔐 Your OTP Code - Todo API"
    mail.set_content(_TEXT.format(code=code.code, minutes=MINUTES))
    return mail
