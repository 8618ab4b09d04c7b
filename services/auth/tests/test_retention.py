"""What does not outlive its purpose."""

from datetime import timedelta

import asyncpg
from prometheus_client import REGISTRY
from signing import Service, key, running, wrong

from auth.keyring import LEAD, TAIL, rotate
from auth.tables import drops
from events.keys import read_keys
from events.retention import Retention
from local.fixtures import DatabaseFactory


async def test_what_is_over_is_dropped_and_what_still_counts_stays(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url, OTP_RESEND_SECONDS="60") as auth:
        code = await auth.challenge()
        await auth.answer(wrong(code))
        retention = Retention(drops(auth.pool, auth.clock))
        await retention.drop()
        assert await counted(auth) == {"challenge": 1, "allowance": 1, "streak": 1}
        auth.clock.move(minutes=66)
        await retention.drop()
        assert await counted(auth) == {"challenge": 0, "allowance": 0, "streak": 1}
        auth.clock.move(days=30)
        await retention.drop()
        assert await counted(auth) == {"challenge": 0, "allowance": 0, "streak": 0}


async def test_old_codes_leave_the_log_but_its_last_number_stays(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth:
        for _ in range(3):
            await auth.ask()
        await age_log(made.owner_url)
        await Retention(drops(auth.pool, auth.clock)).drop()
        assert [row["seq"] for row in await auth.events("OtpRequested")] == [3]
        assert (await auth.ask()).headers["x-event-position"] == "OTP:4"


async def test_sessions_go_thirty_days_after_their_end_or_their_expiry(database: DatabaseFactory) -> None:
    async with running(database("auth").url) as auth:
        left, expired, open_ = [await auth.sign_in() for _ in range(3)]
        await auth.logout(left["access_token"])
        retention, before = Retention(drops(auth.pool, auth.clock)), dropped("sessions")
        for days, gone in ((29, 0), (31, 1), (59, 1), (61, 2)):
            auth.clock.offset = timedelta(days=days)
            open_ |= (await auth.refresh(open_["refresh_token"])).json()["data"]
            await retention.drop()
            assert dropped("sessions") - before == gone, f"after {days} days"
        assert (await auth.refresh(expired["refresh_token"])).status_code == 401
        assert (await auth.me(open_["access_token"])).is_success
        assert await auth.pool.fetchval("select count(*) from session") == 1


async def test_a_signing_key_goes_when_it_is_over_and_not_before(database: DatabaseFactory) -> None:
    async with running(database("auth").url) as auth:
        wrapping = read_keys(key(), size=32)
        retention = Retention(drops(auth.pool, auth.clock))
        done = await rotate(auth.pool, wrapping, auth.clock(), at_once=False)
        auth.clock.move(seconds=(LEAD + TAIL).total_seconds() - 5)
        await retention.drop()
        assert await auth.pool.fetchval("select count(*) from signing_key") == 2
        auth.clock.move(seconds=6)
        await retention.drop()
        assert [row["kid"] for row in await auth.pool.fetch("select kid from signing_key")] == [done.kid]


async def test_kept_answers_go_after_a_day(database: DatabaseFactory) -> None:
    made = database("auth")
    async with running(made.url) as auth:
        token = (await auth.sign_in())["access_token"]
        await auth.call("PATCH", "/users/me", token, {"name": "Ada"}, idempotency_key="k")
        retention = Retention(drops(auth.pool, auth.clock))
        await retention.drop()
        assert await auth.pool.fetchval("select count(*) from events.idempotency") == 1
        owner = await asyncpg.connect(made.owner_url)
        await owner.execute("update events.idempotency set expires_at = expires_at - interval '1 day'")
        await owner.close()
        await retention.drop()
        assert await auth.pool.fetchval("select count(*) from events.idempotency") == 0


def dropped(what: str) -> float:
    """What the metric says."""
    return REGISTRY.get_sample_value("todo_dropped_rows_total", {"what": what}) or 0


async def age_log(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("update events.log set appended_at = appended_at - interval '61 minutes'")
    await owner.close()


async def counted(auth: Service) -> dict[str, int]:
    tables = ("challenge", "allowance", "streak")
    return {table: await auth.pool.fetchval(f"select count(*) from {table}") for table in tables}
