"""Many commands in one request: those on one to-do in their order, the others beside each other."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from api.answers import Answer
from api.conditions import etag
from api.failures import to_answer
from api.idempotency import Intent, kept
from api.messages import Message
from todos.shapes import CreateOne, DeleteOne, EditOne, Item, RestoreOne, ToggleOne, fields_of_new
from todos.writing import (
    DELETED,
    EDITED,
    RESTORED,
    TOGGLED,
    UNDONE,
    Plan,
    Write,
    change,
    create,
    edited,
    simply,
    toggled,
    undone,
)


async def answers(write: Write, items: Sequence[Item]) -> list[Answer[Any]]:
    """The answers in the order of the items. Under one Idempotency-Key each item has its own, so a retry goes on."""
    parts = [replace(write, intent=_part(write.intent, number)) for number in range(len(items))]
    await kept(write.todos.pool, parts[0].intent, write.todos.log.feed)  # refuses a key that came with another body
    lanes: dict[object, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        lanes[number if isinstance(item, CreateOne) else item.id].append(number)
    done: dict[int, Answer[Any]] = {}

    async def in_order(numbers: Sequence[int]) -> None:
        for number in numbers:
            done[number] = await _answer(parts[number], items[number])

    async with asyncio.TaskGroup() as group:
        for numbers in lanes.values():
            group.create_task(in_order(numbers))
    return [done[number] for number in range(len(items))]


def headers_of(parts: Sequence[Answer[Any]]) -> dict[str, str]:
    """A write's headers, for all of them: the last position, and whether each is a first answer again."""
    positions = [part.headers["x-event-position"] for part in parts if "x-event-position" in part.headers]
    last = {"x-event-position": max(positions, key=_number)} if positions else {}
    again = all("idempotency-replayed" in part.headers for part in parts)
    return last | ({"idempotency-replayed": "true"} if again else {})


def _number(position: str) -> int:
    return int(position.rpartition(":")[2])


async def _answer(write: Write, item: Item) -> Answer[Any]:
    """What an item leads to; its problem harms no other."""
    try:
        return await _done(write, item)
    except Exception as refusal:  # noqa: BLE001 - an error of ours harms no other item, either; `to_answer` logs it
        return to_answer(write.request, refusal)


async def _done(write: Write, item: Item) -> Answer[Any]:
    if isinstance(item, CreateOne):
        return await create(write, fields_of_new(item.todo))
    message, plan = _plan_of(item)
    wanted = None if item.version is None else etag(item.version)
    return await change(replace(write, if_match=wanted), item.id, message, plan)


def _plan_of(item: Item) -> tuple[Message, Plan]:
    match item:
        case EditOne():
            return EDITED, edited(item.changes)
        case ToggleOne():
            return TOGGLED, toggled
        case DeleteOne():
            return DELETED, simply("delete")
        case RestoreOne():
            return RESTORED, simply("restore")
    return UNDONE, undone


def _part(intent: Intent | None, number: int) -> Intent | None:
    return intent and replace(intent, route=f"{intent.route}/{number}")
