"""What a person with all rights on the database does to the archive is found by seals that are kept elsewhere."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from reporting import Diary, keeping

from activity.commands import obey
from activity.evidence import EVERY, SEALED_AT, Seal, Seals, Unsealed, keep, sealed, signed
from activity.settings import Settings
from activity.tables import erase_archive
from events.catalog.auth import UserErased
from events.errors import BadSettings
from events.keys import Keys
from events.settings import read
from local.fixtures import Database, DatabaseFactory, until

KEYS = Keys("new", {"new": bytes([1] * 32), "old": bytes([2] * 32)})
OLD, STRANGE = Keys("old", KEYS.by_id), Keys("new", {"new": bytes([3] * 32)})
MORNING = "2026-11-28T09:00"
CHANGED = "a row was changed, or rows changed places: compare with the feeds' logs"
Owner = Callable[..., Awaitable[str]]


class Watch:
    """A clock that is set by hand."""

    now = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def store(database: DatabaseFactory) -> Database:
    return database("activity")


@pytest.fixture
async def diary(store: Database) -> AsyncIterator[Diary]:
    async with keeping(store.url) as diary:
        yield diary


@pytest.fixture
async def owner(store: Database) -> AsyncIterator[Owner]:
    """Someone who may do anything with the tables."""
    connection = await asyncpg.connect(store.owner_url)
    yield connection.execute
    await connection.close()


@pytest.fixture
def seals(diary: Diary, tmp_path: Path, watch: Watch) -> Seals:
    return Seals(diary.pool, tmp_path, KEYS, watch)


@pytest.fixture
async def me(diary: Diary, seals: Seals, watch: Watch) -> UUID:
    """Somebody with six events, sealed after three and after six."""
    me = await diary.register(MORNING)
    await diary.create(me, MORNING, MORNING)
    assert await seals.seal()
    watch.now += EVERY
    await diary.create(me, MORNING, MORNING, MORNING)
    assert await seals.seal()
    return me


@asynccontextmanager
async def running(seals: Seals) -> AsyncIterator[None]:
    """Seals that are made by themselves."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(seals.run())
        yield
        task.cancel()


def first(folder: Path) -> Path:
    """The file of the first seal."""
    return min(folder.iterdir())


async def wrong(seals: Seals) -> list[str]:
    """What is found about the first three, the next three, and the erased."""
    return [each.wrong for each in await seals.look_through()]


async def test_an_archive_that_nobody_touched_is_what_was_sealed(seals: Seals, me: UUID, diary: Diary) -> None:
    await diary.create(me, MORNING)  # not sealed yet
    assert [(each.about, each.wrong) for each in await seals.look_through()] == [
        ("archive 1 to 3, sealed 2026-11-28 09:30Z", ""),
        ("archive 4 to 6, sealed 2026-11-28 10:30Z", ""),
        ("only the erased are erased", ""),
    ]


@pytest.mark.parametrize(
    "change",
    [
        "data = replace(data::text, 'title', 'tit1e')::json",
        "data = (data::text || ' ')::json",
        "type = 'todos.TodoDeleted.v1'",
        "subject = gen_random_uuid()",
        "aggregate = gen_random_uuid()",
        "event_id = gen_random_uuid()",
        "feed = 'AUTH', seq = 77",
        "seq = 77",
        "version = 2",
        "time = time + interval '1 microsecond'",
        "heard_at = heard_at + interval '1 microsecond'",
        "published_at = null",
        "actor = 'nobody'",
        "correlation_id = 'r-2'",
        "causation_id = 'r-2'",
        "traceparent = '00'",
    ],
)
async def test_one_edited_row_is_found(seals: Seals, me: UUID, owner: Owner, change: str) -> None:
    assert await owner(f"update archive set {change} where number = 5") == "UPDATE 1"
    assert await wrong(seals) == ["", CHANGED, ""]


async def test_an_edit_is_not_covered_up_by_hashes_of_what_was_there(seals: Seals, me: UUID, owner: Owner) -> None:
    hashes = """
        sha256 = sha256(convert_to(data::text, 'UTF8')), typed_sha256 = sha256(convert_to(type || data::text, 'UTF8'))
    """
    await owner(f'update archive set data = \'{{"title": "b"}}\', {hashes} where number = 2')
    assert (await wrong(seals))[0] == CHANGED


async def test_one_removed_row_is_found_and_the_rest_is_still_judged(seals: Seals, me: UUID, owner: Owner) -> None:
    await owner("delete from archive where number = 2")
    assert await wrong(seals) == ["2 rows, sealed were 3", "", ""]


async def test_rows_that_changed_places_are_found(seals: Seals, me: UUID, owner: Owner) -> None:
    await owner("update archive set number = 11 - number where number in (5, 6)")
    assert await wrong(seals) == ["", CHANGED, ""]


async def test_an_end_that_was_cut_off_is_found_also_where_the_counter_fits_and_nothing_more_is_sealed(
    seals: Seals, me: UUID, owner: Owner
) -> None:
    await owner("delete from archive where number > 4")
    await owner("update archive_counter set last_number = 4")
    assert await wrong(seals) == ["", "1 rows, sealed were 3", ""]
    with pytest.raises(Unsealed, match="ends at 4, and was sealed up to 6"):
        await seals.seal()


async def test_what_was_cut_off_and_filled_again_with_something_else_is_found(
    seals: Seals, me: UUID, owner: Owner, diary: Diary
) -> None:
    await owner("delete from archive where number > 5")
    await owner("update archive_counter set last_number = 5")
    await diary.create(me, MORNING)
    assert await wrong(seals) == ["", CHANGED, ""]


async def test_after_an_erasure_everything_is_still_what_was_sealed(seals: Seals, me: UUID, diary: Diary) -> None:
    await diary.hear(me, MORNING, UserErased(user_id=me))
    assert await erase_archive(diary.pool, me, 100) == 6
    assert await diary.pool.fetchval("select count(*) from archive where data::text = '{}'") == 6
    assert await wrong(seals) == ["", "", ""]


async def test_an_erased_row_is_still_held_to_what_it_was(seals: Seals, me: UUID, owner: Owner, diary: Diary) -> None:
    await diary.hear(me, MORNING, UserErased(user_id=me))
    await erase_archive(diary.pool, me, 100)
    await owner("update archive set sha256 = sha256('') where number = 2")
    await owner("update archive set subject = gen_random_uuid() where number = 5")
    assert await wrong(seals) == [CHANGED, CHANGED, "1 rows of people who are not, the first is 5"]


async def test_a_row_that_was_emptied_as_if_its_person_were_erased_is_found(
    seals: Seals, me: UUID, owner: Owner
) -> None:
    await owner("""
        update archive set type = 'core.Erased.v1', data = '{}', sha256 = sha256(convert_to(data::text, 'UTF8')),
            typed_sha256 = sha256(convert_to(type || data::text, 'UTF8'))
        where number = 5
    """)
    assert await wrong(seals) == ["", "", "1 rows of people who are not, the first is 5"]


async def test_what_was_emptied_before_it_was_heard_is_sealed_as_it_came(
    seals: Seals, diary: Diary, owner: Owner
) -> None:
    gone = uuid4()
    await diary.hear(gone, MORNING, UserErased(user_id=gone))
    await diary.create(gone, MORNING)
    await seals.seal()
    assert await wrong(seals) == ["", ""]
    await owner("update archive set sha256 = sha256('') where number = 2")
    assert await wrong(seals) == [CHANGED, ""]


async def test_a_seal_of_another_key_is_no_seal_and_an_older_key_still_counts(
    seals: Seals, me: UUID, tmp_path: Path, diary: Diary, watch: Watch
) -> None:
    last = sealed(tmp_path)[0][-1].statement
    keep(signed(msgspec.structs.replace(last, number=7), STRANGE), tmp_path)
    assert (await wrong(seals))[2] == "the seal is not signed by a key of SEAL_KEYS (new)"
    with pytest.raises(Unsealed, match="seal of number 7 is not signed"):
        await seals.seal()
    (tmp_path / f"{7:015}.json").unlink()
    await diary.create(me, MORNING)
    assert await Seals(diary.pool, tmp_path, OLD, watch).seal()
    assert await wrong(seals) == ["", "", "", ""]


async def test_a_seal_whose_words_were_changed_is_none(seals: Seals, me: UUID, tmp_path: Path) -> None:
    path = first(tmp_path)
    path.write_text(path.read_text().replace("09:30", "09:31"))
    assert "is not signed" in (await wrong(seals))[0]


async def test_seals_are_made_each_hour_and_only_where_something_came(
    seals: Seals, me: UUID, diary: Diary, watch: Watch
) -> None:
    watch.now += EVERY
    assert await seals.seal(at_least=EVERY) is None, "nothing came"
    assert SEALED_AT._value.get() == watch.now.timestamp(), "a night without events is sealed all the same"
    await diary.create(me, MORNING)
    watch.now -= timedelta(seconds=1)
    assert await seals.seal(at_least=EVERY) is None, "too early"
    watch.now += timedelta(seconds=1)
    made = await seals.seal(at_least=EVERY)
    assert isinstance(made, Seal)
    assert made.statement.number == 7


async def test_a_seal_is_never_written_over(seals: Seals, me: UUID, tmp_path: Path) -> None:
    path = first(tmp_path)
    before = sha256(path.read_bytes())
    keep(signed(msgspec.structs.replace(sealed(tmp_path)[0][0].statement, head="00"), KEYS), tmp_path)
    assert sha256(path.read_bytes()).digest() == before.digest()


async def test_what_a_full_disk_cut_short_ends_no_sealing_and_the_rest_is_still_judged(
    seals: Seals, me: UUID, diary: Diary, tmp_path: Path
) -> None:
    (tmp_path / f"{7:015}.json").touch()
    await diary.create(me, MORNING, MORNING)
    made = await seals.seal()
    assert made
    assert made.statement.number == 8
    assert [(each.about[:4], each.wrong) for each in await seals.look_through()] == [
        ("seal", "the file is no seal"),
        *[("arch", "")] * 3,
        ("only", ""),
    ]


async def test_a_seal_that_no_room_is_left_for_leaves_nothing_behind(
    seals: Seals, me: UUID, diary: Diary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    await diary.create(me, MORNING)
    with monkeypatch.context() as patched:
        patched.setattr("activity.evidence.os.fsync", full)
        with pytest.raises(Unsealed, match="No space left"):
            await seals.seal()
    seals_kept, others = sealed(tmp_path)
    assert (len(seals_kept), others) == (2, [])
    assert await seals.seal()


async def test_a_folder_that_is_not_there_is_said_and_sealing_goes_on_once_it_is(
    diary: Diary, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activity.evidence._LOOK", 0.01)
    await diary.register(MORNING)
    folder = tmp_path / "later"
    folder.write_text("no folder")
    seals = Seals(diary.pool, folder, KEYS, watch)
    async with running(seals):
        await until(lambda: seals.check().state == "late")
        assert str(folder) in seals.check().detail
        folder.unlink()
        folder.mkdir()
        await until(lambda: seals.check().state == "ok" and sealed(folder)[0])


async def test_long_stretches_are_sealed_piece_by_piece(
    seals: Seals, me: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activity.evidence._AT_ONCE", 2)
    assert await wrong(seals) == ["", "", ""]


async def test_commands_seal_and_verify(
    seals: Seals, me: UUID, diary: Diary, owner: Owner, capsys: pytest.CaptureFixture[str]
) -> None:
    await diary.pool.execute("update events.checkpoint set seq = 0")
    assert await obey(diary.pool, ["seal"], seals) == 0
    await diary.create(me, MORNING)
    assert await obey(diary.pool, ["seal"], seals) == 0
    assert capsys.readouterr().out == "nothing came since the last seal\nsealed up to 7\n"
    assert await obey(diary.pool, ["seal"]) == 1
    assert "SEAL_DIR and SEAL_KEYS" in capsys.readouterr().err
    await owner("delete from archive where number = 2")
    assert await obey(diary.pool, ["verify"], seals) == 1
    assert "wrong archive 1 to 3, sealed 2026-11-28 09:30Z: 2 rows, sealed were 3\n" in capsys.readouterr().out


def test_keys_of_seals_are_checked_and_needed_for_a_folder() -> None:
    needed = {"DATABASE_URL": "d", "NATS_URL": "nats://localhost", "JWKS_URL": "j", "ISSUER": "i"}
    assert read(Settings, needed).keys is None
    with pytest.raises(BadSettings, match="SEAL_KEYS must be a list of kid:base64url"):
        read(Settings, needed | {"SEAL_DIR": "/seals"})
    with pytest.raises(BadSettings, match="SEAL_KEYS must hold keys of 32 bytes"):
        read(Settings, needed | {"SEAL_KEYS": "k:AAAA"})
    keys = read(Settings, needed | {"SEAL_DIR": "/seals", "SEAL_KEYS": f"k:{'A' * 43}"}).keys
    assert keys is not None
    assert keys.value == bytes(32)
