"""People with a socket each, and requests that complete their to-dos: what a frame comes of."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx

from bench.looks import until
from bench.posts import BODY
from bench.requests import Answer, Connection, post
from bench.sockets import Follower
from bench.stack import Stack
from events.ids import uuid7

_SOCKETS: Final = 50


@asynccontextmanager
async def following(stack: Stack) -> AsyncIterator[list[Follower]]:
    """Fifty people, each with a socket that was greeted."""
    door, url = asyncio.Semaphore(_SOCKETS), stack.notifier.replace("http", "ws", 1)
    async with httpx.AsyncClient(base_url=stack.notifier, timeout=30) as http:
        people = [uuid7() for _ in range(_SOCKETS)]
        followers = [Follower(person, stack.token(person), url, http, door) for person in people]
        tasks = [asyncio.create_task(each.run()) for each in followers]
        try:
            await until(lambda: all(each.greeted for each in followers), "a socket is not greeted")
            yield followers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def completions(stack: Stack, followers: Sequence[Follower], count: int) -> list[bytes]:
    """So many requests, by turns of the followers, that each complete a to-do made for it now."""
    connection = await Connection.open(stack.todos)
    tokens = [stack.token(each.person) for each in followers]
    requests = []
    for nr in range(count):
        token = tokens[nr % len(tokens)]
        answer = Answer(*await connection.call(post(stack.todos, "/todos/", BODY.encode(), token)))
        path = f"{answer.headers['location']}/toggle"
        requests.append(post(stack.todos, path, b"", token).replace(b"POST", b"PATCH", 1))
    connection.close()
    return requests
