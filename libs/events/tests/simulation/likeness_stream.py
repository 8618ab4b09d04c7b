"""Random calls for the same script on a stream, simulated or real: what each answers."""

from random import Random
from typing import Any

import msgspec
import nats.js.errors
from feeding import FEED
from nats.aio.msg import Msg

from events.pull import Pull, PullBroken
from events.streams import apply, state_with_deleted

SUBJECT = "ev.todos.1.TodoCreated"


class Script:
    """Draws calls from a seed and makes them over one connection; `told` is what came of them."""

    def __init__(self, seed: int, client: Any) -> None:
        self._chance = Random(seed)
        self._client = client
        self._js = client.jetstream(timeout=2)
        self._last = 0
        self._pull: Pull | None = None
        self.told: list[tuple[Any, ...]] = []

    async def run(self, calls: int) -> list[tuple[Any, ...]]:
        """Make so many calls, and read the stream to its end."""
        await apply(self._js, FEED)
        for number in range(calls):
            act = self._chance.choice(_ACTS)
            try:
                self.told.append((number, act.__name__, await act(self)))
            except (nats.js.errors.APIError, PullBroken) as error:
                self.told.append((number, act.__name__, type(error).__name__, getattr(error, "err_code", 0)))
        if self._pull is not None:
            await self._pull.close()
        return self.told

    async def publish(self) -> Any:
        """With the expected number, or one beside it."""
        expected = self._last + self._chance.choice([0, 0, 0, 0, -1, 1])
        headers = {"Nats-Expected-Last-Sequence": str(expected), "ce-id": str(self._chance.getrandbits(32))}
        reply = await self._ask(SUBJECT, b'{"a": 1}', headers)
        answer = msgspec.json.decode(reply.data or b"{}")
        if "error" not in answer and reply.data:
            self._last = answer["seq"]
        error = answer.get("error", {})
        return answer.get("seq"), error.get("err_code"), error.get("description"), (reply.headers or {}).get("Status")

    async def _ask(self, subject: str, body: bytes, headers: dict[str, str]) -> Msg:
        """A request with headers, over an inbox: an answer of the server's is an answer, whatever it says."""
        inbox = self._client.new_inbox()
        came: list[Msg] = []

        async def hear(message: Msg) -> None:
            came.append(message)

        subscription = await self._client.subscribe(inbox, cb=hear)
        await self._client.publish(subject, body, reply=inbox, headers=headers)
        for _ in range(50):
            await self._client.flush()
            if came:
                break
        await subscription.unsubscribe()
        return came[0]

    async def info(self) -> Any:
        info = await self._js.stream_info(FEED.name)
        there = await state_with_deleted(self._js, FEED.name)
        return info.state.messages, info.state.first_seq, info.state.last_seq, info.config.first_seq, there

    async def message(self) -> Any:
        found = await self._js.get_msg(FEED.name, self._chance.randint(1, max(1, self._last + 1)))
        return found.seq, found.subject, found.headers, found.data

    async def open(self) -> Any:
        """A consumer anew, from somewhere on."""
        if self._pull is not None:
            await self._pull.close()
        start = self._chance.randint(1, self._last + 2)
        self._pull = Pull(self._client, FEED.name, "hearer-1", start=start, batch=self._chance.randint(1, 5))
        await self._pull.open()
        return start

    async def fetch(self) -> Any:
        """What comes next, where something must: to find that nothing does takes two seconds."""
        if self._pull is None or self._pull.last >= self._last:
            return "nothing to wait for"
        heard: list[Msg] = []
        try:
            while self._pull.last < self._last:
                heard += await self._pull.fetch()
        except PullBroken:
            self._pull = None
            raise
        return [(each.metadata.sequence.stream, each.headers, each.data) for each in heard]

    async def lost(self) -> Any:
        return None if self._pull is None else await self._pull.has_lost(after=0)

    async def dismiss(self) -> Any:
        """The consumer is deleted under whoever pulls."""
        return await self._js.delete_consumer(FEED.name, "hearer-1")

    async def make_anew(self) -> Any:
        """The stream is deleted and made again, from some number on."""
        if self._chance.random() < 0.7:
            return "not now"
        await self._js.delete_stream(FEED.name)
        gone = await self.publish()
        first = self._chance.randint(1, 4)
        await apply(self._js, FEED, first_seq=first)
        self._last = first - 1
        self._pull = None
        return gone


_ACTS = (
    *[Script.publish] * 6,
    Script.info,
    Script.message,
    Script.open,
    *[Script.fetch] * 3,
    Script.lost,
    Script.dismiss,
)
_ACTS = (*_ACTS, Script.make_anew)
