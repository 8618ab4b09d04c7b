"""The application that was replaced: async routes over blocking drivers, side work in background tasks of the process.

What blocks, blocks the loop: a mail server that takes 50 ms stops everybody for as long.
"""

import smtplib

from fastapi import BackgroundTasks, FastAPI
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from bench.peers.product import (
    CONNECTIONS,
    DATABASE,
    MINUTES,
    REDIS_URL,
    SMTP_HOST,
    SMTP_PORT,
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
from bench.peers.tables import Todo, activity_of

app = FastAPI()
engine = create_engine(f"postgresql+psycopg://{DATABASE}", pool_size=CONNECTIONS, max_overflow=0)
Session = sessionmaker(engine, expire_on_commit=False)
redis = Redis.from_url(REDIS_URL)


@app.post("/todos/", status_code=201)
async def create_todo(body: NewTodo, person: SignedIn, background: BackgroundTasks) -> Envelope[TodoOut]:
    todo = todo_of(body, person)
    with Session.begin() as session:
        session.add(Todo(**todo.model_dump()))
    background.add_task(log_activity, todo)
    return created(todo)


async def log_activity(todo: TodoOut) -> None:
    with Session.begin() as session:
        session.add(activity_of(todo))


@app.post("/users/request-otp")
async def request_otp(body: AskForCode, background: BackgroundTasks) -> Envelope[CodeSent]:
    code = code_for(body)
    redis.setex(f"otp:{code.email}", MINUTES * 60, code.code)
    background.add_task(send_code, code)
    return sent(code)


async def send_code(code: Code) -> None:
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as server:
        server.send_message(mail_of(code))
