"""FastAPI, async SQLAlchemy, and FastStream on JetStream: published after the commit, done by a worker of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtplib
import uvloop
from fastapi import FastAPI
from faststream import AckPolicy, FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from bench.peers import settings
from bench.peers.product import AskForCode, Code, CodeOnItsWay, NewTodo, SignedIn, Todo, TodoCreated
from bench.peers.settings import DATABASE, DATABASE_CONNECTIONS, STREAM
from bench.peers.tables import activity_row, keep, todo_row

ACTIVITY, MAIL = f"{STREAM}.activity", f"{STREAM}.mail"

broker = NatsBroker(settings.NATS, logger=None)
worker = FastStream(broker)
stream = JStream(STREAM, subjects=[f"{STREAM}.>"])
engine = create_async_engine(f"postgresql+asyncpg://{DATABASE}", pool_size=DATABASE_CONNECTIONS, max_overflow=0)
Session = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await broker.connect()
    yield
    await broker.stop()


app = FastAPI(lifespan=lifespan)


@app.post("/todos/", status_code=201)
async def create_todo(body: NewTodo, person: SignedIn) -> TodoCreated:
    todo = body.made_by(person)
    async with Session.begin() as session:
        session.add(todo_row(todo))
    await broker.publish(todo, ACTIVITY, stream=STREAM)
    return todo.created()


@broker.subscriber(
    ACTIVITY,
    stream=stream,
    durable="activity",
    pull_sub=PullSub(settings.FETCHED_AT_ONCE, settings.FETCHED_WITHIN),
    max_workers=settings.WRITES_AT_ONCE,
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def log_activity(todo: Todo) -> None:
    async with Session.begin() as session:
        session.add(activity_row(todo))


@app.post("/users/request-otp")
async def request_otp(body: AskForCode) -> CodeOnItsWay:
    code = body.code()
    async with Session.begin() as session:
        await session.execute(keep(code))
    await broker.publish(code, MAIL, stream=STREAM)
    return code.sent()


@broker.subscriber(
    MAIL,
    stream=stream,
    durable="mail",
    pull_sub=PullSub(settings.FETCHED_AT_ONCE, settings.FETCHED_WITHIN),
    max_workers=settings.SMTP_CONNECTIONS,
    ack_policy=AckPolicy.NACK_ON_ERROR,
)
async def send_code(code: Code) -> None:
    await aiosmtplib.send(code.mail(), hostname=settings.SMTP_HOST, port=settings.SMTP_PORT)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.run())
