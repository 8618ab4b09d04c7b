"""What a person does reaches their inbox and their open sockets, through the gateway."""

import asyncio
import json

from websockets.asyncio.client import connect

from system import System


async def test_a_completed_to_do_is_in_the_inbox_and_in_every_open_connection(world: System) -> None:
    async with world.person() as me:
        sold = (await me.http.post("/notifications/ticket")).json()["data"]["ticket"]
        gateway = str(me.http.base_url).rstrip("/")
        address = f"{gateway.replace('http', 'ws', 1)}/notifications/ws?ticket={sold}&last=0"
        async with (
            connect(address, origin=gateway) as socket,
            me.http.stream("GET", "/notifications/stream") as stream,
            asyncio.timeout(20),
        ):
            assert json.loads(await socket.recv())["type"] == "hello"
            lines = stream.aiter_lines()
            hello, *_ = [await anext(lines) for _ in range(3)]
            assert hello == "event: hello"
            created = await me.create("우유 사기")
            toggled = await me.http.patch(f"{created.headers['location']}/toggle")
            by_socket = json.loads(await socket.recv())["notification"]
            by_stream = [await anext(lines) for _ in range(3)]
        position = toggled.headers["x-event-position"]
        inbox = (await me.http.get("/notifications/", headers={"x-min-position": position})).json()
    assert by_stream[:2] == ["id: 1", "event: notification"]
    assert json.loads(by_stream[2].removeprefix("data: "))["notification"] == by_socket
    assert inbox["data"] == [by_socket]
    assert (by_socket["number"], by_socket["kind"], by_socket["data"]["title"]) == (1, "completion", "우유 사기")
    assert (inbox["unread"], inbox["last_number"]) == (1, 1)
