"""FastAPI, async SQLAlchemy, and taskiq on JetStream: a task after the commit, done by a worker of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtplib
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from taskiq_nats import PullBasedJetStreamBroker

from bench.peers.product import (
    CONNECTIONS,
    DATABASE,
    NATS_URL,
    SMTP_HOST,
    SMTP_PORT,
    STREAM,
    AskForCode,
    Code,
    CodeSent,
    Envelope,
    NewTodo,
    SignedIn,
    TodoOut,
    code_for,
    created,
    mail_of,
    sent,
    todo_of,
)  # fmt: skip
from bench.peers.tables import Todo, activity_of, keep

broker = PullBasedJetStreamBroker(
    NATS_URL, stream_name=STREAM, subject=f"{STREAM}.tasks", durable="tasks", pull_consume_batch=100
)
engine = create_async_engine(f"postgresql+asyncpg://{DATABASE}", pool_size=CONNECTIONS, max_overflow=0)
Session = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


app = FastAPI(lifespan=lifespan)


@broker.task
async def log_activity(todo: TodoOut) -> None:
    async with Session.begin() as session:
        session.add(activity_of(todo))


@broker.task
async def send_code(code: Code) -> None:
    await aiosmtplib.send(mail_of(code), hostname=SMTP_HOST, port=SMTP_PORT)


@app.post("/todos/", status_code=201)
async def create_todo(body: NewTodo, person: SignedIn) -> Envelope[TodoOut]:
    todo = todo_of(body, person)
    async with Session.begin() as session:
        session.add(Todo(**todo.model_dump()))
    await log_activity.kiq(todo)
    return created(todo)


@app.post("/users/request-otp")
async def request_otp(body: AskForCode) -> Envelope[CodeSent]:
    code = code_for(body)
    async with Session.begin() as session:
        await session.execute(keep(code))
    await send_code.kiq(code)
    return sent(code)
