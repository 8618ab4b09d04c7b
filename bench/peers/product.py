"""What every peer serves alike: who is signed in, bodies, answers, and the mail that brings a code."""

import uuid
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from secrets import randbelow
from typing import Annotated, Final, Generic, TypeAlias, TypeVar

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, EmailStr, Field

from bench.peers.settings import CODE_MINUTES, JWT_SECRET

T = TypeVar("T")

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


class Envelope(BaseModel, Generic[T]):
    """What every success answer looks like."""

    message_key: str
    message: str
    data: T


class NewTodo(BaseModel):
    """What makes a to-do."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    priority: Annotated[int, Field(ge=1, le=5)] = 3

    def made_by(self, person: uuid.UUID) -> "Todo":
        return Todo(**self.model_dump(), id=uuid.uuid4(), user_id=person, created_at=datetime.now(UTC))


class Todo(NewTodo):
    """A to-do as it is stored and answered; also what workers are told."""

    id: uuid.UUID
    user_id: uuid.UUID
    completed: bool = False
    created_at: datetime

    @property
    def details(self) -> dict[str, object]:
        """What its activity row says of it."""
        details = {"todo_id": str(self.id), "title": self.title, "priority": self.priority}
        return details | {"completed": self.completed}

    def created(self) -> Envelope["Todo"]:
        return Envelope(message_key="todo.created", message="Todo created successfully", data=self)


class CodeSent(BaseModel):
    """Where a code is on its way to."""

    email: str
    expires_in_minutes: int


class Code(BaseModel):
    """A code on its way to somebody; also what workers are told."""

    email: str
    code: str
    expires_at: datetime

    def sent(self) -> Envelope[CodeSent]:
        data = CodeSent(email=self.email, expires_in_minutes=CODE_MINUTES)
        return Envelope(message_key="otp.sent", message="OTP sent successfully", data=data)

    def mail(self) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "noreply@todo.localhost", self.email, "🔐 Your OTP Code - Todo API"
        mail.set_content(_TEXT.format(code=self.code, minutes=CODE_MINUTES))
        return mail


class AskForCode(BaseModel):
    """Who wants a code."""

    email: EmailStr

    def code(self) -> Code:
        expires_at = datetime.now(UTC) + timedelta(minutes=CODE_MINUTES)
        return Code(email=self.email, code=f"{randbelow(10**6):06}", expires_at=expires_at)


TodoCreated: TypeAlias = Envelope[Todo]
CodeOnItsWay: TypeAlias = Envelope[CodeSent]


async def _person(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> uuid.UUID:
    try:
        return uuid.UUID(jwt.decode(token.credentials, JWT_SECRET, algorithms=["HS256"])["sub"])
    except (jwt.PyJWTError, KeyError, ValueError):
        raise HTTPException(401, headers={"www-authenticate": "Bearer"}) from None


SignedIn: TypeAlias = Annotated[uuid.UUID, Depends(_person)]
"""The id of whoever the bearer token names; 401 where it names nobody."""
