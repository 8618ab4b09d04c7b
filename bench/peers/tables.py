"""The tables as SQLAlchemy sees them; `schema.sql` makes them."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.peers.product import Code, Todo


class Base(DeclarativeBase):
    """What all tables share: the types of columns."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB, str: Text}  # noqa: RUF012


class TodoRow(Base):
    """A to-do."""

    __tablename__ = "todo"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    title: Mapped[str]
    description: Mapped[str | None]
    priority: Mapped[int]
    completed: Mapped[bool]
    created_at: Mapped[datetime]


class ActivityRow(Base):
    """What somebody did."""

    __tablename__ = "activity"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID]
    action: Mapped[str]
    details: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class CodeRow(Base):
    """The code that an address has."""

    __tablename__ = "otp_code"

    email: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    expires_at: Mapped[datetime]


def todo_row(todo: Todo) -> TodoRow:
    return TodoRow(**todo.model_dump())


def activity_row(todo: Todo) -> ActivityRow:
    return ActivityRow(user_id=todo.user_id, action="todo_created", details=todo.details, at=todo.created_at)


def keep(code: Code) -> Insert:
    """The statement that stores a code in place of an earlier one."""
    new = {"code": code.code, "expires_at": code.expires_at}
    return insert(CodeRow).values(email=code.email, **new).on_conflict_do_update(index_elements=["email"], set_=new)
