"""FastAPI, asyncpg without an ORM, and FastStream on JetStream: published after the commit, done by a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiosmtplib
import asyncpg
import uvloop
from fastapi import FastAPI
from faststream import AckPolicy, FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from pydantic_core import to_json

from bench.peers import settings
from bench.peers.product import AskForCode, Code, CodeOnItsWay, NewTodo, SignedIn, Todo, TodoCreated
from bench.peers.settings import DATABASE, DATABASE_CONNECTIONS, STREAM

ACTIVITY, MAIL = f"{STREAM}.activity", f"{STREAM}.mail"
INSERT_TODO: Final = """
insert into todo (id, user_id, title, description, priority, completed, created_at) values ($1, $2, $3, $4, $5, $6, $7)
"""
INSERT_ACTIVITY: Final = """
insert into activity (id, user_id, action, details, at) values (gen_random_uuid(), $1, 'todo_created', $2, $3)
"""
KEEP_CODE: Final = """
insert into otp_code (email, code, expires_at) values ($1, $2, $3)
on conflict (email) do update set code = excluded.code, expires_at = excluded.expires_at
"""

broker = NatsBroker(settings.NATS, logger=None)
stream = JStream(STREAM, subjects=[f"{STREAM}.>"])
pool: asyncpg.Pool


@asynccontextmanager
async def pooled() -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(f"postgres://{DATABASE}", max_size=DATABASE_CONNECTIONS) as pool:
        yield


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with pooled():
        await broker.connect()
        yield
        await broker.stop()


app = FastAPI(lifespan=lifespan)
worker = FastStream(broker, lifespan=pooled)


@app.post("/todos/", status_code=201)
async def create_todo(body: NewTodo, person: SignedIn) -> TodoCreated:
    todo = body.made_by(person)
    row = (todo.id, person, todo.title, todo.description, todo.priority, todo.completed, todo.created_at)
    await pool.execute(INSERT_TODO, *row)
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
    await pool.execute(INSERT_ACTIVITY, todo.user_id, to_json(todo.details).decode(), todo.created_at)


@app.post("/users/request-otp")
async def request_otp(body: AskForCode) -> CodeOnItsWay:
    code = body.code()
    await pool.execute(KEEP_CODE, code.email, code.code, code.expires_at)
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
