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
    expiry,
    mail_of,
    sent,
    todo_of,
)  # fmt: skip

WRITES_AT_ONCE: Final = 16
TODO: Final = """
insert into todo (id, user_id, title, description, priority, completed, created_at) values ($1, $2, $3, $4, $5, $6, $7)
"""
ACTIVITY: Final = """
insert into activity (id, user_id, action, details, at) values (gen_random_uuid(), $1, 'todo_created', $2, $3)
"""
CODE: Final = """
insert into otp_code (email, code, expires_at) values ($1, $2, $3)
on conflict (email) do update set code = excluded.code, expires_at = excluded.expires_at
"""

broker = NatsBroker(NATS_URL, logger=None)
stream = JStream(STREAM, subjects=[f"{STREAM}.>"])
pool: asyncpg.Pool


@asynccontextmanager
async def pooled() -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(f"postgres://{DATABASE}", max_size=CONNECTIONS) as pool:
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
async def create_todo(body: NewTodo, person: SignedIn) -> Envelope[TodoOut]:
    todo = todo_of(body, person)
    await pool.execute(
        TODO, todo.id, person, todo.title, todo.description, todo.priority, todo.completed, todo.created_at
    )
    await broker.publish(todo, f"{STREAM}.activity", stream=STREAM)
    return created(todo)


@app.post("/users/request-otp")
async def request_otp(body: AskForCode) -> Envelope[CodeSent]:
    code = code_for(body)
    await pool.execute(CODE, code.email, code.code, expiry())
    await broker.publish(code, f"{STREAM}.mail", stream=STREAM)
    return sent(code)


@broker.subscriber(
    f"{STREAM}.activity", stream=stream, durable="activity", pull_sub=PullSub(batch_size=100),
    max_workers=WRITES_AT_ONCE, ack_policy=AckPolicy.NACK_ON_ERROR,
)  # fmt: skip
async def log_activity(todo: TodoOut) -> None:
    await pool.execute(ACTIVITY, todo.user_id, to_json(todo.details).decode(), todo.created_at)


@broker.subscriber(
    f"{STREAM}.mail", stream=stream, durable="mail", pull_sub=PullSub(batch_size=100),
    max_workers=MAILS_AT_ONCE, ack_policy=AckPolicy.NACK_ON_ERROR,
)  # fmt: skip
async def send_code(code: Code) -> None:
    await aiosmtplib.send(mail_of(code), hostname=SMTP_HOST, port=SMTP_PORT)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.run())
