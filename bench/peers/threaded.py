"""The application that was replaced, with plain functions: routes and tasks run in the framework's thread pool.

What blocks, blocks one of its forty threads.
"""

from smtplib import SMTP

from fastapi import BackgroundTasks, FastAPI
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from bench.peers.product import AskForCode, Code, CodeOnItsWay, NewTodo, SignedIn, Todo, TodoCreated
from bench.peers.settings import CODE_MINUTES, DATABASE, DATABASE_CONNECTIONS, REDIS, SMTP_HOST, SMTP_PORT
from bench.peers.tables import activity_row, todo_row

app = FastAPI()
engine = create_engine(f"postgresql+psycopg://{DATABASE}", pool_size=DATABASE_CONNECTIONS, max_overflow=0)
Session = sessionmaker(engine, expire_on_commit=False)
redis = Redis.from_url(REDIS)


@app.post("/todos/", status_code=201)
def create_todo(body: NewTodo, person: SignedIn, background: BackgroundTasks) -> TodoCreated:
    todo = body.made_by(person)
    with Session.begin() as session:
        session.add(todo_row(todo))
    background.add_task(log_activity, todo)
    return todo.created()


def log_activity(todo: Todo) -> None:
    with Session.begin() as session:
        session.add(activity_row(todo))


@app.post("/users/request-otp")
def request_otp(body: AskForCode, background: BackgroundTasks) -> CodeOnItsWay:
    code = body.code()
    redis.setex(f"otp:{code.email}", CODE_MINUTES * 60, code.code)
    background.add_task(send_code, code)
    return code.sent()


def send_code(code: Code) -> None:
    with SMTP(SMTP_HOST, SMTP_PORT) as server:
        server.send_message(code.mail())
