"""`todo-ops tail`: events as they come, those that were asked for, never what is sealed in them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from desk import Desk
from msgspec import to_builtins
from nats.js import JetStreamContext

from events.catalog.auth import UserRegistered
from local.fixtures import until
from ops.tailing import without_seals

ADA, BOB = uuid4(), uuid4()
COMMAND = (sys.executable, "-m", "ops", "tail")


def tailed(desk: Desk, *words: str) -> list[dict[str, Any]]:
    done = desk.ask("tail", *words, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


class Following:
    """`todo-ops tail` as a process of its own, that follows from now on; what it says goes into files."""

    def __init__(self, desk: Desk, folder: Path, *words: str) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(COMMAND + words, env=os.environ | desk.environment, stdout=out, stderr=err)
        at_work(desk)

    def lines(self, count: int) -> list[str]:
        """What it said, once that is so many lines."""
        return asyncio.run(until(lambda: found if len(found := self.said()) >= count else None, within=20))

    def said(self) -> list[str]:
        return self.out.read_text().splitlines()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


def at_work(desk: Desk) -> None:
    """Wait until the stream has somebody who follows it."""

    async def there(js: JetStreamContext) -> None:
        async def followed() -> bool:
            return bool((await js.stream_info("AUTH")).state.consumer_count)

        await until(followed, within=20)

    desk.on_streams(there)


def test_what_comes_is_told_at_once_and_ctrl_c_ends_it_well(desk: Desk, tmp_path: Path) -> None:
    desk.say(2)
    follower = Following(desk, tmp_path, "--json")
    desk.say(1, person=ADA)
    [told] = map(json.loads, follower.lines(1))
    assert (told["feed"], told["seq"], told["type"], told["person"]) == ("AUTH", 3, "auth.UserSignedIn.v1", str(ADA))
    assert told["data"]["user_id"] == str(ADA)
    assert (follower.end(signal.SIGINT), len(follower.said()), follower.err.read_text()) == (0, 1, "")


def test_a_broker_that_goes_away_is_waited_for_and_nothing_is_told_twice_or_missed(desk: Desk, tmp_path: Path) -> None:
    follower = Following(desk, tmp_path, "--json", "--feed", "AUTH")
    desk.say(1)
    follower.lines(1)
    desk.nats.restart()
    desk.say(2)
    assert [json.loads(line)["seq"] for line in follower.lines(3)] == [1, 2, 3]
    assert (follower.end(signal.SIGINT), len(follower.said())) == (0, 3), follower.err.read_text()
    assert "NATS does not answer" in follower.err.read_text()


def test_who_stops_reading_ends_it_without_a_word(desk: Desk) -> None:
    environment = os.environ | desk.environment
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        at_work(desk)
        process.stdout.close()
        desk.say(1)
        assert (process.wait(timeout=20), process.stderr.read()) == (0, b"")


def test_only_what_was_asked_for_is_told(desk: Desk) -> None:
    desk.say(1, person=ADA)
    desk.say(2, person=BOB)
    desk.append(1, feed="OTP")
    desk.publish(1, feed="OTP")
    assert [told["seq"] for told in tailed(desk, "--since", "1h", "--feed", "auth", "--count", "3")] == [1, 2, 3]
    about_bob = tailed(desk, "--since", "1h", "--person", str(BOB), "--count", "2")
    assert {told["person"] for told in about_bob} == {str(BOB)}
    [second, _] = about_bob
    one = tailed(desk, "--since", "1h", "--aggregate", second["aggregate"], "--count", "1")
    assert [told["id"] for told in one] == [second["id"]]
    for name in ("OtpRequested", "auth.OtpRequested.v1"):
        [asked] = tailed(desk, "--since", "1h", "--type", name, "--count", "1")
        assert asked["feed"] == "OTP"


def test_since_counts_from_when_it_happened_also_in_a_stream_that_was_filled_again(desk: Desk) -> None:
    desk.say(2)
    long_ago = "update events.log set time = now() - interval '2 hours' where feed = 'AUTH' and seq = 1"
    desk.run("auth", (long_ago,))
    desk.on_streams(lambda js: js.delete_stream("AUTH"))
    desk.renew("AUTH")
    desk.publish(2)
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert [told["seq"] for told in tailed(desk, "--feed", "AUTH", "--since", since, "--count", "1")] == [2]
    assert [told["seq"] for told in tailed(desk, "--feed", "AUTH", "--since", "3h", "--count", "2")] == [1, 2]


def test_what_is_sealed_is_not_told(desk: Desk) -> None:
    desk.append(1, feed="OTP")
    desk.publish(1, feed="OTP")
    shown = desk.ask("tail", "--since", "1h", "--count", "1").stdout
    assert ("OTP:1 auth.OtpRequested.v1" in shown, "challenge_id" in shown) == (True, True)
    assert ("sealed" in shown, "k1.secret" in shown) == (False, False)
    registered = to_builtins(UserRegistered(user_id=ADA, sealed_contact="s", locale=None, timezone=None))
    assert without_seals([{"within": registered}]) == [
        {"within": {"user_id": str(ADA), "locale": None, "timezone": None}}
    ]


def test_what_does_not_decode_is_told_without_what_it_says(desk: Desk) -> None:
    desk.append(3)
    nested = "[" * 3000 + "]" * 3000
    desk.run("auth", ("update events.log set data = $1 where feed = 'AUTH' and seq = 2", nested))
    desk.publish(3)
    told = tailed(desk, "--since", "1h", "--count", "3")
    assert [(event["seq"], event["data"] is None) for event in told] == [(1, False), (2, True), (3, False)]


def test_what_people_wrote_does_not_steer_the_terminal(desk: Desk) -> None:
    desk.append(1)
    data = json.dumps({"title": "우유 \x9b2J \x7f \u202e"}, ensure_ascii=False)
    desk.run("auth", ("update events.log set data = $1 where feed = 'AUTH'", data))
    desk.publish(1)
    shown = desk.ask("tail", "--since", "1h", "--count", "1").stdout
    assert "우유 \\u009b2J \\u007f \\u202e" in shown
    [told] = tailed(desk, "--since", "1h", "--count", "1")
    assert told["data"]["title"] == "우유 \x9b2J \x7f \u202e"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--since", "yesterday"), 2, "is no moment"),
        (("--since", "2026-11-28T09:00:00"), 2, "is no moment"),
        (("--since", "999999999d"), 2, "is no moment"),
        (("--feed", "NONE"), 2, "--feed"),
        (("--person", "ada"), 2, "--person"),
    ],
)
def test_what_is_asked_in_a_wrong_way_is_told_so(desk: Desk, words: tuple[str, ...], code: int, said: str) -> None:
    done = desk.ask("tail", *words)
    assert (done.exit_code, said in done.output) == (code, True)


def test_without_nats_it_says_so(desk: Desk) -> None:
    desk.nats.kill()
    done = desk.ask("tail")
    assert (done.exit_code, "NATS does not answer" in done.output) == (1, True)
