"""FastAPI, async SQLAlchemy, and taskiq on JetStream: a task after the commit, done by a worker of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtplib
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from taskiq_nats import PullBasedJetStreamBroker

from bench.peers import settings
from bench.peers.product import AskForCode, Code, CodeOnItsWay, NewTodo, SignedIn, Todo, TodoCreated
from bench.peers.settings import DATABASE, DATABASE_CONNECTIONS, STREAM
from bench.peers.tables import activity_row, keep, todo_row

broker = PullBasedJetStreamBroker(
    settings.NATS,
    stream_name=STREAM,
    subject=f"{STREAM}.tasks",
    durable="tasks",
    pull_consume_batch=settings.FETCHED_AT_ONCE,
    pull_consume_timeout=settings.FETCHED_WITHIN,
)
engine = create_async_engine(f"postgresql+asyncpg://{DATABASE}", pool_size=DATABASE_CONNECTIONS, max_overflow=0)
Session = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


app = FastAPI(lifespan=lifespan)


@broker.task
async def log_activity(todo: Todo) -> None:
    async with Session.begin() as session:
        session.add(activity_row(todo))


@broker.task
async def send_code(code: Code) -> None:
    await aiosmtplib.send(code.mail(), hostname=settings.SMTP_HOST, port=settings.SMTP_PORT)


@app.post("/todos/", status_code=201)
async def create_todo(body: NewTodo, person: SignedIn) -> TodoCreated:
    todo = body.made_by(person)
    async with Session.begin() as session:
        session.add(todo_row(todo))
    await log_activity.kiq(todo)
    return todo.created()


@app.post("/users/request-otp")
async def request_otp(body: AskForCode) -> CodeOnItsWay:
    code = body.code()
    async with Session.begin() as session:
        await session.execute(keep(code))
    await send_code.kiq(code)
    return code.sent()
