"""What does not outlive its purpose."""

import asyncpg
from signing import Service, running, wrong

from auth.tables import drops
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


async def age_log(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("update events.log set appended_at = appended_at - interval '61 minutes'")
    await owner.close()


async def counted(auth: Service) -> dict[str, int]:
    tables = ("challenge", "allowance", "streak")
    return {table: await auth.pool.fetchval(f"select count(*) from {table}") for table in tables}
