"""Work tables over real PostgreSQL: a row has one holder, and only the holder writes its outcome."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from uuid import UUID

import asyncpg
import pytest
from feeding import connection, running
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from events import work
from events.ids import uuid7
from events.work import BACKOFF_FIRST, BACKOFF_MAX, Row, WorkTable, backoff
from local.fixtures import Database, until

SHORT = 0.3
END_SESSIONS = """
select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and d.datname = current_database()
"""


@pytest.fixture
async def pool(todos: Database) -> AsyncIterator[asyncpg.Pool]:
    """The runtime role's connections to a database with a work table `letter`."""
    async with connection(todos.owner_url) as owner:
        await owner.execute("create table letter (like events.work including all)")
        await owner.execute("grant select, insert, update on letter to events")
    async with asyncpg.create_pool(todos.url, min_size=0) as opened:
        yield opened


@pytest.fixture
def letters(pool: asyncpg.Pool) -> WorkTable:
    return WorkTable("letter", pool)


@pytest.fixture
def short(pool: asyncpg.Pool) -> WorkTable:
    """The same table, worked with a lease that ends soon."""
    return WorkTable("letter", pool, lease=SHORT)


async def put(pool: asyncpg.Pool, count: int = 1, *, due: float = 0, expires_at: datetime | None = None) -> list[UUID]:
    """New rows, due in `due` seconds, the first one first."""
    ids = [uuid7() for _ in range(count)]
    await pool.execute(
        "insert into letter (id, due_at, expires_at) "
        "select id, clock_timestamp() + make_interval(secs => $2 + nr * 1e-6), $3 "
        "from unnest($1::uuid[]) with ordinality as t (id, nr)",
        ids,
        due,
        expires_at,
    )
    return ids


async def state_of(pool: asyncpg.Pool, row: UUID) -> str:
    return str(await pool.fetchval("select state from letter where id = $1", row))


async def settled(pool: asyncpg.Pool, table: WorkTable, row: Row, state: str = "sent") -> bool:
    async with pool.acquire() as conn, conn.transaction():
        return await table.settle(conn, row, state)


async def lease_ended(pool: asyncpg.Pool, row: UUID) -> None:
    query = "select lease_until < clock_timestamp() from letter where id = $1"
    await until(partial(pool.fetchval, query, row))


@asynccontextmanager
async def working(table: WorkTable) -> AsyncIterator[list[tuple[str, UUID]]]:
    """Run the table's workers beside the body; gives what they were asked to do, each settled at once."""
    done: list[tuple[str, UUID]] = []

    async def settle(verb: str, outcome: str, row: Row) -> None:
        done.append((verb, row["id"]))
        assert await settled(table._pool, table, row, outcome)

    judge, expire = partial(settle, "judge", "unknown"), partial(settle, "expire", "expired")
    async with running(partial(table.run, partial(settle, "act", "sent"), judge=judge, expire=expire)):
        yield done


async def test_two_workers_never_hold_the_same_row(pool: asyncpg.Pool, letters: WorkTable) -> None:
    ids = await put(pool, 200)
    claims = await asyncio.gather(*(letters.claim(7) for _ in range(40)))
    held = [row["id"] for rows in claims for row in rows]
    assert sorted(held) == sorted(ids)


async def test_the_row_that_is_due_longest_comes_first_and_none_before_it_is_due(
    pool: asyncpg.Pool, letters: WorkTable
) -> None:
    [later] = await put(pool, due=-1)
    [first] = await put(pool, due=-60)
    await put(pool, due=60)
    assert [row["id"] for row in [*await letters.claim(1), *await letters.claim(5)]] == [first, later]


async def test_the_holder_marks_settles_and_nobody_claims_it_again(pool: asyncpg.Pool, letters: WorkTable) -> None:
    await put(pool)
    [row] = await letters.claim(1)
    assert row["attempts"] == 1
    assert await letters.sending(row)
    assert await settled(pool, letters, row)
    assert await state_of(pool, row["id"]) == "sent"
    assert await letters.claim(1) == []


async def test_an_outcome_that_is_rolled_back_was_never_written(pool: asyncpg.Pool, letters: WorkTable) -> None:
    await put(pool)
    [row] = await letters.claim(1)
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        assert await letters.settle(conn, row, "sent")
        await transaction.rollback()
    assert await state_of(pool, row["id"]) == "claimed"


async def test_a_lease_that_ends_before_the_mark_gives_the_row_back(
    pool: asyncpg.Pool, short: WorkTable, letters: WorkTable
) -> None:
    await put(pool)
    [slow] = await short.claim(1)
    await lease_ended(pool, slow["id"])
    assert not await short.sending(slow)
    async with working(letters) as acted:
        await until(lambda: acted)
    assert acted[0][:2] == ("act", slow["id"])


async def test_a_lease_that_ends_after_the_mark_is_judged_and_never_acted_on(
    pool: asyncpg.Pool, short: WorkTable, letters: WorkTable
) -> None:
    await put(pool, 2)
    slow, unmarked = await short.claim(2)
    assert await short.sending(slow)
    for row in (slow, unmarked):
        await lease_ended(pool, row["id"])
    async with working(letters) as acted:
        await until(lambda: len(acted) == 2)
    assert set(acted) == {("judge", slow["id"]), ("act", unmarked["id"])}
    assert not await settled(pool, letters, slow)


async def test_a_lost_claim_writes_nothing(pool: asyncpg.Pool, short: WorkTable, letters: WorkTable) -> None:
    await put(pool)
    [lost] = await short.claim(1)
    assert await short.sending(lost)
    await lease_ended(pool, lost["id"])
    [taken] = await letters.doubtful(10)
    assert taken["token"] != lost["token"]
    before = await pool.fetchrow("select * from letter")
    assert not await short.sending(lost)
    assert not await short.retry(lost, "too late")
    assert not await settled(pool, short, lost, "failed")
    assert await pool.fetchrow("select * from letter") == before
    assert await settled(pool, letters, taken, "unknown")


async def test_of_two_claims_of_a_row_that_are_marked_together_one_is_lost(
    pool: asyncpg.Pool, short: WorkTable, letters: WorkTable
) -> None:
    await put(pool)
    [lost] = await short.claim(1)
    await lease_ended(pool, lost["id"])
    await pool.execute("update letter set state = 'queued'")
    [kept] = await letters.claim(1)
    assert await letters._mark([lost, kept]) == [False, True]


async def test_who_judges_has_the_time_that_was_said(pool: asyncpg.Pool) -> None:
    table = WorkTable("letter", pool, lease=1.9)
    await put(pool)
    [row] = await table.claim(1)
    assert await table.sending(row)
    await pool.execute("update letter set lease_until = clock_timestamp()")
    assert len(await table.doubtful(1)) == 1
    assert await pool.fetchval("select lease_until > clock_timestamp() + interval '1.1 s' from letter")


async def test_a_row_past_its_expiry_is_expired_and_never_acted_on(pool: asyncpg.Pool, letters: WorkTable) -> None:
    [late] = await put(pool, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    [alive] = await put(pool, expires_at=datetime.now(UTC) + timedelta(hours=1))
    async with working(letters) as acted:
        await until(lambda: len(acted) == 2)
    assert set(acted) == {("expire", late), ("act", alive)}


async def test_expiry_goes_by_the_clock_of_the_service(pool: asyncpg.Pool) -> None:
    await put(pool, expires_at=datetime.now(UTC) + timedelta(hours=1))
    tomorrow = WorkTable("letter", pool, clock=lambda: datetime.now(UTC) + timedelta(days=1))
    assert await tomorrow.claim(1) == []
    assert len(await tomorrow.overdue(1)) == 1


async def test_a_retry_is_due_later_with_its_reason_and_counts(pool: asyncpg.Pool, letters: WorkTable) -> None:
    await put(pool)
    [row] = await letters.claim(1)
    assert await letters.retry(row, "451", after=60)
    assert await letters.claim(1) == []
    assert await pool.fetchval("select reason from letter") == "451"
    assert await pool.fetchval("select due_at between now() + interval '50 s' and now() + interval '70 s' from letter")
    await pool.execute("update letter set due_at = clock_timestamp()")
    [again] = await letters.claim(1)
    assert again["attempts"] == 2
    assert again["token"] != row["token"]


async def test_the_age_is_that_of_the_oldest_row_however_often_it_was_put_off(
    pool: asyncpg.Pool, letters: WorkTable
) -> None:
    await put(pool, due=-30)
    await put(pool, due=3600)
    await letters._measure()
    assert 30 <= age() < 40
    await pool.execute("update letter set created_at = clock_timestamp() - interval '90 s'")
    [row] = await letters.claim(1)
    assert await letters.retry(row, "451", after=60)
    await letters._measure()
    assert 90 <= age() < 100
    await pool.execute("update letter set state = 'sent'")
    await letters._measure()
    assert age() == 0
    await letters._presence.leave()


def age() -> float:
    return REGISTRY.get_sample_value("todo_work_oldest_seconds", {"table": "letter"}) or 0


async def test_work_that_breaks_stops_no_other_and_is_tried_again(pool: asyncpg.Pool, short: WorkTable) -> None:
    broken, sound = await put(pool, 2)
    acted: list[UUID] = []

    async def act(row: Row) -> None:
        acted.append(row["id"])
        if row["id"] == broken:
            raise RuntimeError
        await settled(pool, short, row)

    async with running(partial(short.run, act, judge=act, expire=act, workers=1)):
        await until(lambda: acted.count(broken) >= 2 and sound in acted)
    assert acted.count(sound) == 1


async def test_a_row_that_is_claimed_while_its_worker_leaves_is_given_back(
    pool: asyncpg.Pool, letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    [row] = await put(pool)
    claimed, claim = asyncio.Event(), letters.claim

    async def slow_claim(limit: int, lane: str) -> Sequence[Row]:
        rows = await claim(limit, lane)
        claimed.set()
        await asyncio.sleep(0.1)  # its answer is on its way
        return rows

    monkeypatch.setattr(letters, "claim", slow_claim)
    async with running(partial(letters.run, never, judge=never, expire=never, workers=1)):
        await claimed.wait()
    assert await state_of(pool, row) == "queued"


async def never(_: Row) -> None:
    pytest.fail("nothing is acted on")


async def test_a_new_row_is_acted_on_at_once_when_told_of(pool: asyncpg.Pool, letters: WorkTable) -> None:
    async with working(letters) as acted:
        await put(pool)
        await until(lambda: acted)  # all workers have looked, and rest now
        [row] = await put(pool)
        letters.wake()
        await until(lambda: ("act", row) in acted, within=0.5)


async def test_workers_without_work_look_now_and_then_together_not_each(
    letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LOOK", 0.25)
    looks, claim = list[tuple[float, int]](), letters.claim

    async def noted_claim(limit: int, lane: str) -> Sequence[Row]:
        looks.append((monotonic(), limit))
        return await claim(limit, lane)

    monkeypatch.setattr(letters, "claim", noted_claim)
    async with running(partial(letters.run, never, judge=never, expire=never, workers=4)):
        await until(lambda: len([limit for _, limit in looks if limit == 1]) >= 5)
    alone = looks[-5:]  # all four look as they begin
    assert [limit for _, limit in alone] == [1] * 5
    assert alone[-1][0] - alone[0][0] > 3.5 * work.LOOK


async def test_a_dead_claim_is_given_back_though_something_else_is_due_all_the_while(
    pool: asyncpg.Pool, letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "POLL", 0.1)
    [dead] = await put(pool)
    await letters.claim(1)
    await pool.execute("update letter set lease_until = clock_timestamp() - interval '1 second'")
    await put(pool)  # due, and in no lane
    acted: list[UUID] = []

    async def act(row: Row) -> None:
        acted.append(row["id"])
        assert await settled(pool, letters, row)

    async with running(partial(letters.run, act, judge=never, expire=never, lanes=(f"id = '{dead}'",))):
        await until(lambda: acted == [dead], within=3)


@asynccontextmanager
async def doomed(
    todos: Database, act: Callable[[WorkTable, Row], Awaitable[None]], *, lease: float = work.LEASE
) -> AsyncIterator[asyncpg.Pool]:
    """A worker of another process, whose act takes for ever; ending its pool leaves what a kill would."""
    async with asyncpg.create_pool(todos.url, min_size=0) as other:
        table = WorkTable("letter", other, lease=lease)

        async def forever(row: Row) -> None:
            await act(table, row)
            await asyncio.Event().wait()

        async with running(partial(table.run, forever, judge=never, expire=never, workers=1)):
            await until(lambda: table._presence.holder)
            yield other


def sweeps_of(table: WorkTable, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the table's sweep looked, from now on, every tenth of a second."""
    monkeypatch.setattr(work, "POLL", 0.1)
    looks, measure = list[float](), table._measure

    async def noted_measure() -> Row:
        looks.append(monotonic())
        return await measure()

    monkeypatch.setattr(table, "_measure", noted_measure)
    return looks


async def test_what_a_killed_process_held_is_taken_up_long_before_its_lease_ends(
    pool: asyncpg.Pool, todos: Database, letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, held = sweeps_of(letters, monkeypatch), asyncio.Event()

    async def hold(_: WorkTable, __: Row) -> None:
        held.set()

    async with doomed(todos, hold) as other:
        [row] = await put(other)
        await until(held.is_set)
        async with working(letters) as acted:
            await until(lambda: len(looks) > 2)
            assert (await state_of(pool, row), acted) == ("claimed", []), "whoever is here keeps it"
            other.terminate()
            await until(lambda: acted, within=5)
    assert acted == [("act", row)]


async def mark(table: WorkTable, row: Row) -> None:
    assert await table.sending(row)


@pytest.mark.parametrize("killed_early", [True, False])
async def test_what_a_killed_process_had_marked_is_judged_once_nobody_can_act_on_it(
    pool: asyncpg.Pool, todos: Database, monkeypatch: pytest.MonkeyPatch, *, killed_early: bool
) -> None:
    table = WorkTable("letter", pool, lease=(lease := 6.0))
    looks = sweeps_of(table, monkeypatch)
    left = "select extract(epoch from lease_until - clock_timestamp())::float8 from letter where state = 'sending'"
    async with doomed(todos, mark, lease=lease) as other:
        [row] = await put(other)
        await until(lambda: pool.fetchval(left))
        if killed_early:
            other.terminate()
        async with working(table) as acted:
            await until(partial(pool.fetchval, f"select ({left}) < {lease / 2 + 0.2}"))
            assert acted == [], "its holder might have lost a session alone"
            if not killed_early:
                await until(partial(pool.fetchval, f"select ({left}) < {lease / 2}"))
                before = len(looks)
                await until(lambda: len(looks) > before + 2)
                assert acted == [], "whoever is here keeps it"
                other.terminate()
            await until(lambda: acted, within=2)
    assert acted == [("judge", row)]


async def test_who_lost_a_session_and_came_back_is_here_again(
    pool: asyncpg.Pool, todos: Database, letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps_of(letters, monkeypatch)
    is_gone = "select events.is_gone($1)"
    async with connection(todos.owner_url) as owner:
        async with working(letters):
            await until(lambda: letters._presence.holder)
            token = await owner.fetchval("select events.token_of($1)", letters._presence.holder)
            assert await owner.fetchval(is_gone, token) is False
            await pool.execute(END_SESSIONS)
            await until(partial(owner.fetchval, is_gone, token))
            await until(partial(owner.fetchval, "select not events.is_gone($1)", token))
        await until(partial(owner.fetchval, is_gone, token))


async def test_a_question_that_fails_ends_no_presence(pool: asyncpg.Pool, letters: WorkTable) -> None:
    await letters._measure()
    holder = letters._presence.holder
    with pytest.raises(asyncpg.UndefinedTableError):
        await letters._presence.fetch("select from nowhere")
    token = await pool.fetchval("select events.token_of($1)", holder)
    assert await pool.fetchval("select events.is_gone($1)", token) is False
    await letters._presence.leave()
    assert letters._presence.holder == ""
    await until(partial(pool.fetchval, "select events.is_gone($1)", token))


async def test_a_token_of_nobody_in_particular_is_never_gone(pool: asyncpg.Pool, letters: WorkTable) -> None:
    await put(pool)
    [row] = await letters.claim(1)
    assert row["token"].version == 4
    assert await pool.fetchval("select events.is_gone($1)", row["token"]) is False


async def test_what_becomes_due_is_seen_by_the_sweep(
    pool: asyncpg.Pool, letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LOOK", 60)
    acted = asyncio.Event()

    async def act(row: Row) -> None:
        if row["attempts"] == 1:
            assert await letters.retry(row, "later", after=0.3)
        else:
            acted.set()

    [_] = await put(pool)
    async with running(partial(letters.run, act, judge=never, expire=never)):
        await until(acted.is_set, within=5)


async def test_who_finds_a_row_calls_the_others(
    pool: asyncpg.Pool, letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "POLL", 60)
    monkeypatch.setattr(work, "LOOK", 60)
    begun: list[UUID] = []
    comes_back = asyncio.Event()

    async def act(row: Row) -> None:
        begun.append(row["id"])
        await comes_back.wait()
        assert await settled(pool, letters, row)

    async with running(partial(letters.run, act, judge=never, expire=never, workers=4)):
        await until(lambda: any(lookout.locked() for lookout in letters._lookouts.values()))
        ids = await put(pool, 4)
        letters.wake()
        await until(lambda: sorted(begun) == sorted(ids))
        comes_back.set()


async def test_what_hangs_in_one_lane_holds_up_no_other(pool: asyncpg.Pool, letters: WorkTable) -> None:
    stuck = await put(pool, 5)
    await pool.execute("update letter set reason = 'stuck'")
    [free] = await put(pool)
    begun: list[UUID] = []
    ended: list[UUID] = []
    comes_back = asyncio.Event()

    async def act(row: Row) -> None:
        begun.append(row["id"])
        if row["reason"] == "stuck":
            await comes_back.wait()
        assert await settled(pool, letters, row)
        ended.append(row["id"])

    lanes = ("reason = 'stuck'", "reason is null")
    async with running(partial(letters.run, act, judge=never, expire=never, workers=2, lanes=lanes)):
        await until(lambda: ended == [free] and len(begun) == 3)
        comes_back.set()
        await until(lambda: len(ended) == 6)
    assert set(begun) == {*stuck, free}


async def test_a_lane_that_is_told_of_a_row_as_it_looks_looks_again_whatever_others_do(
    pool: asyncpg.Pool, letters: WorkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = "reason is null", "reason is not null"
    looked, claim, late = Counter[str](), letters.claim, asyncio.Event()

    async def slow_claim(limit: int, lane: str) -> Sequence[Row]:
        rows = await claim(limit, lane)
        looked[lane] += 1
        if lane == mine and looked[mine] == 1:
            await late.wait()  # its answer, that there is nothing, is on its way
        return rows

    monkeypatch.setattr(letters, "claim", slow_claim)
    acted: list[UUID] = []

    async def act(row: Row) -> None:
        assert await settled(pool, letters, row)
        acted.append(row["id"])

    async with running(partial(letters.run, act, judge=never, expire=never, workers=1, lanes=(mine, other))):
        await until(lambda: looked[mine] == 1 and looked[other] >= 1)
        [row] = await put(pool)
        before = looked[other]
        letters.wake()
        await until(lambda: looked[other] > before)
        late.set()
        await until(lambda: acted == [row], within=0.5)


async def test_work_goes_on_when_the_table_comes_back(pool: asyncpg.Pool, todos: Database, letters: WorkTable) -> None:
    async with connection(todos.owner_url) as owner, working(letters) as acted:
        await owner.execute("alter table letter rename to gone")
        await until(lambda: letters.check().state == "late")
        await owner.execute("alter table gone rename to letter")
        [row] = await put(pool)
        await until(lambda: acted)
        await until(lambda: letters.check().state == "ok")
    assert acted == [("act", row)]


@given(st.integers(1, 100_000), st.sampled_from([BACKOFF_MAX, 10.0]))
def test_back_off_doubles_up_to_its_longest_wait_and_jitters_over_its_upper_half(attempts: int, longest: float) -> None:
    most = min(BACKOFF_FIRST * 2.0 ** min(attempts - 1, 16), longest)
    assert most / 2 <= backoff(attempts, longest) <= most


def test_back_off_grows_up_to_five_minutes_unless_told_otherwise() -> None:
    assert BACKOFF_MAX / 2 <= backoff(10) <= BACKOFF_MAX == 300  # the ninth try waits 256 s at most
