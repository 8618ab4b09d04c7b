"""No framework: a bare ASGI application that answers a to-do as JSON. What a Python server can do at most here."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

_TODO: Final = {
    "id": "0189d5a0-0000-7000-8000-000000000000",
    "user_id": "0189d5a0-0000-7000-8000-000000000001",
    "description": None,
    "completed": False,
    "created_at": "2026-01-01T00:00:00Z",
}
_HEADERS: Final = [(b"content-type", b"application/json")]


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Reads the body, answers it in the envelope, checks and keeps nothing."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    envelope = {"message_key": "todo.created", "message": "Todo created successfully", "data": None}
    answer = json.dumps(envelope | {"data": _TODO | json.loads(body or b"{}")}, ensure_ascii=False).encode()
    length = (b"content-length", str(len(answer)).encode())
    await send({"type": "http.response.start", "status": 201, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": answer})
