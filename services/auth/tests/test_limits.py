"""What is refused for being too often."""

import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from signing import ADA, Service, appends_held_up, running, wrong

from auth import tables
from auth.limits import network_of
from events.postgres import open_pool
from local.fixtures import DatabaseFactory, until

PRODUCTION = {"OTP_RESEND_SECONDS": "", "OTP_PER_HOUR": "", "OTP_PER_DAY": "", "OTP_PER_IP_PER_HOUR": ""}


async def test_the_next_code_must_be_waited_for(database: DatabaseFactory) -> None:
    async with running(database("auth").url, **PRODUCTION) as auth:
        assert (await auth.ask()).is_success
        refused = await auth.ask()
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert 55 <= int(refused.headers["retry-after"]) <= 60
        assert (await auth.ask("eve@example.test")).is_success
        auth.clock.move(seconds=60)
        assert (await auth.ask()).is_success


async def test_parallel_requests_get_one_code(database: DatabaseFactory) -> None:
    async with running(database("auth").url, **PRODUCTION) as auth:
        for _ in range(2):
            answers = await asyncio.gather(*(auth.ask() for _ in range(20)))
            assert sorted(answer.status_code for answer in answers) == [200] + [429] * 19
            auth.clock.move(seconds=60)
        assert len(await auth.events("OtpRequested")) == 2


async def test_who_waits_for_another_replica_sees_what_it_took(database: DatabaseFactory) -> None:
    async with await open_pool(database("auth").url, application="auth") as pool:
        now, allowance = datetime.now(UTC), (b"key", timedelta(seconds=60), 1)
        assert await tables.take(pool, [([allowance], now - timedelta(minutes=1))]) == [timedelta(0)]
        async with pool.acquire() as other, other.transaction():
            await other.execute("select from allowance for update")
            later = asyncio.create_task(tables.take(pool, [([allowance], now)]))
            await until(lambda: pool.fetchval("select count(*) from pg_locks where not granted"))
            asked = ([1], *([each] for each in allowance), [now])
            assert await other.fetchval(tables.SQL.take_together, *asked) == timedelta(0)
        assert await later == [timedelta(seconds=60)]


async def test_requests_taken_for_together_are_refused_one_by_one(database: DatabaseFactory) -> None:
    async with await open_pool(database("auth").url, application="auth") as pool:
        now, minute = datetime.now(UTC), timedelta(minutes=1)
        once, twice = (b"once", minute, 1), (b"twice", minute, 2)
        assert await tables.take(pool, [([once], now), ([twice], now)]) == [timedelta(0)] * 2
        # The second is refused for `once`, and so takes nothing from `fresh` either.
        fresh = (b"fresh", minute, 1)
        assert await tables.take(pool, [([twice], now), ([fresh, once], now)]) == [timedelta(0), minute]
        assert await tables.take(pool, [([fresh], now), ([twice], now)]) == [timedelta(0), minute]


async def test_a_used_code_ends_the_wait(database: DatabaseFactory) -> None:
    async with running(database("auth").url, **PRODUCTION) as auth:
        await auth.sign_in()
        assert (await auth.ask()).is_success


async def test_an_address_gets_ten_codes_an_hour_and_then_one_each_six_minutes(database: DatabaseFactory) -> None:
    async with running(database("auth").url, **PRODUCTION | {"OTP_RESEND_SECONDS": "0"}) as auth:
        assert {(await auth.ask()).status_code for _ in range(10)} == {200}
        assert 300 < int((await auth.ask()).headers["retry-after"]) <= 360
        auth.clock.move(minutes=6)
        assert [(await auth.ask()).status_code for _ in range(2)] == [200, 429]


async def test_a_refused_request_uses_nothing_up(database: DatabaseFactory) -> None:
    async with running(database("auth").url, OTP_RESEND_SECONDS="60", OTP_PER_HOUR="2") as auth:
        assert [(await auth.ask()).status_code for _ in range(5)] == [200, 429, 429, 429, 429]
        auth.clock.move(seconds=60)
        assert (await auth.ask()).is_success


async def test_a_code_that_could_not_be_sent_may_be_asked_for_at_once_and_is_not_counted(
    database: DatabaseFactory,
) -> None:
    made = database("auth")
    async with running(made.url, **PRODUCTION | {"OTP_PER_HOUR": "2"}) as auth:
        await auth.answer(wrong(await auth.challenge()))
        auth.clock.move(seconds=60)
        async with appends_held_up(made.owner_url):
            sent = asyncio.create_task(auth.ask())
            await until(lambda: auth.pool.fetchval("select count(*) from pg_locks where not granted"))
            answers = [await auth.ask("eve@example.test"), await sent]
        assert [(a.status_code, a.json()["code"]) for a in answers] == [(503, "unavailable"), (503, "outcome_unknown")]
        for email, allowed in ((ADA, 1), ("eve@example.test", 2)):
            for status in [200] * allowed + [429]:
                assert (await auth.ask(email)).status_code == status
                auth.clock.move(seconds=60)
        assert await auth.pool.fetchval("select wrong from streak") == 1


async def test_a_network_gets_so_many_codes_whatever_the_addresses(database: DatabaseFactory) -> None:
    async with running(database("auth").url, OTP_PER_IP_PER_HOUR="3") as auth:
        behind = {"x-forwarded-for": "2001:db8:1:2::1"}
        beside = {"x-forwarded-for": "2001:db8:1:2:ffff::9"}
        asked = [(await auth.ask(f"a{n}@example.test", **behind)).status_code for n in range(3)]
        assert asked == [200] * 3
        assert (await auth.ask("new@example.test", **beside)).status_code == 429
        assert (await auth.ask("new@example.test", **{"x-forwarded-for": "2001:db8:1:3::1"})).is_success


async def test_a_network_may_guess_so_often(database: DatabaseFactory) -> None:
    async with running(database("auth").url, GUESSES_PER_IP_PER_HOUR="3") as auth:
        code = await auth.challenge()
        assert [(await auth.answer(wrong(code))).status_code for _ in range(4)] == [401, 401, 401, 429]
        assert (await auth.answer(code, **{"x-forwarded-for": "192.0.2.7"})).is_success


async def test_a_hundred_wrong_guesses_in_a_row_lock_strangers_out_and_nobody_else(auth: Service) -> None:
    ada = await auth.sign_in()
    for _ in range(20):
        code = await auth.challenge()
        for _ in range(5):
            assert (await auth.answer(wrong(code))).status_code == 401
    code = {"email": ADA, "challenge_id": code["challenge_id"], "otp_code": "000000"}
    for refused in (await auth.ask(), await auth.answer(code)):
        assert (refused.status_code, refused.json()["code"]) == (429, "otp.locked")
        assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert (await auth.ask("eve@example.test")).is_success
    assert (await auth.me(ada["access_token"])).is_success
    assert (await auth.refresh(ada["refresh_token"])).is_success

    device = {"device_token": ada["device_token"]}
    asked = await auth.http.post("/users/request-otp", json={"email": ADA} | device)
    challenge_id = asked.json()["data"]["challenge_id"]
    code = {"email": ADA, "challenge_id": challenge_id, "otp_code": (await auth.letter(challenge_id)).code}
    assert (await auth.answer(code)).status_code == 429
    assert (await auth.answer(code | device)).is_success
    assert (await auth.ask()).is_success  # a right code ends the row, and the lock


async def test_strangers_cannot_use_up_what_a_known_device_may_ask_for(database: DatabaseFactory) -> None:
    async with running(database("auth").url, **PRODUCTION) as auth:
        token = (await auth.sign_in())["device_token"]
        for _ in range(15):
            await auth.ask(**{"x-forwarded-for": "192.0.2.7"})
            auth.clock.move(seconds=60)
        assert (await auth.ask()).status_code == 429
        assert (await auth.ask(device_token=token)).is_success


async def test_a_known_device_has_limits_of_its_own(database: DatabaseFactory) -> None:
    async with running(database("auth").url, **PRODUCTION | {"OTP_PER_HOUR": "2"}) as auth:
        token, other = [(await auth.sign_in())["device_token"] for _ in range(2)]
        assert [(await auth.ask(device_token=token)).status_code for _ in range(2)] == [200, 429]
        auth.clock.move(seconds=60)
        assert (await auth.ask(device_token=token)).is_success
        auth.clock.move(seconds=60)
        assert (await auth.ask(device_token=token)).status_code == 429, "two an hour"
        assert (await auth.ask(device_token=other)).is_success


async def test_a_known_device_is_counted_for_its_network_too(database: DatabaseFactory) -> None:
    async with running(database("auth").url, OTP_PER_IP_PER_HOUR="2") as auth:
        token = (await auth.sign_in())["device_token"]
        assert [(await auth.ask(device_token=token)).status_code for _ in range(2)] == [200, 429]


async def test_a_lock_ends_by_itself(database: DatabaseFactory) -> None:
    async with running(database("auth").url, LOCK_AFTER="10", LOCK_MINUTES="15") as auth:
        for _ in range(2):
            code = await auth.challenge()
            await asyncio.gather(*(auth.answer(wrong(code)) for _ in range(5)))
        assert (await auth.ask()).status_code == 429
        auth.clock.move(minutes=15)
        await auth.sign_in()


async def test_another_address_device_is_unknown(database: DatabaseFactory) -> None:
    async with running(database("auth").url, LOCK_AFTER="10") as auth:
        eve = await auth.sign_in("eve@example.test")
        for _ in range(2):
            code = await auth.challenge()
            await asyncio.gather(*(auth.answer(wrong(code)) for _ in range(5)))
        for token in (eve["device_token"], eve["device_token"][:-1], eve["refresh_token"], "", "k1.", "한"):
            asked = await auth.http.post("/users/request-otp", json={"email": ADA, "device_token": token})
            assert asked.status_code == 429


PROXIES = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "counted"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.1, 10.0.0.3", "198.51.100.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("::ffff:127.0.0.1", "2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:1:2::3", "", "2001:db8:0:1::/64"),
        ("", "198.51.100.1", "None"),
    ],
)
def test_whom_a_request_is_counted_for(peer: str, forwarded_for: str, counted: str) -> None:
    assert network_of(peer, forwarded_for, PROXIES) == counted
