"""FastAPI, async SQLAlchemy, and FastStream on JetStream: published after the commit, done by a worker of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiosmtplib
import uvloop
from fastapi import FastAPI
from faststream import AckPolicy, FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from bench.peers.product import (
    CONNECTIONS,
    DATABASE,
    MAILS_AT_ONCE,
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

WRITES_AT_ONCE: Final = 16

broker = NatsBroker(NATS_URL, logger=None)
stream = JStream(STREAM, subjects=[f"{STREAM}.>"])
worker = FastStream(broker)
engine = create_async_engine(f"postgresql+asyncpg://{DATABASE}", pool_size=CONNECTIONS, max_overflow=0)
Session = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await broker.connect()
    yield
    await broker.stop()


app = FastAPI(lifespan=lifespan)


@app.post("/todos/", status_code=201)
async def create_todo(body: NewTodo, person: SignedIn) -> Envelope[TodoOut]:
    todo = todo_of(body, person)
    async with Session.begin() as session:
        session.add(Todo(**todo.model_dump()))
    await broker.publish(todo, f"{STREAM}.activity", stream=STREAM)
    return created(todo)


@app.post("/users/request-otp")
async def request_otp(body: AskForCode) -> Envelope[CodeSent]:
    code = code_for(body)
    async with Session.begin() as session:
        await session.execute(keep(code))
    await broker.publish(code, f"{STREAM}.mail", stream=STREAM)
    return sent(code)


@broker.subscriber(
    f"{STREAM}.activity", stream=stream, durable="activity", pull_sub=PullSub(batch_size=100),
    max_workers=WRITES_AT_ONCE, ack_policy=AckPolicy.NACK_ON_ERROR,
)  # fmt: skip
async def log_activity(todo: TodoOut) -> None:
    async with Session.begin() as session:
        session.add(activity_of(todo))


@broker.subscriber(
    f"{STREAM}.mail", stream=stream, durable="mail", pull_sub=PullSub(batch_size=100),
    max_workers=MAILS_AT_ONCE, ack_policy=AckPolicy.NACK_ON_ERROR,
)  # fmt: skip
async def send_code(code: Code) -> None:
    await aiosmtplib.send(mail_of(code), hostname=SMTP_HOST, port=SMTP_PORT)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.run())
