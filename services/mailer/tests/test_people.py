"""How to reach people, kept up to date."""

from mailing import Post, registered

from events.catalog.auth import ProfileChanged
from events.ids import uuid7
from local.fixtures import until


async def test_what_a_person_chose_is_kept_with_how_to_reach_them(post: Post) -> None:
    ada, eve = registered(), registered()
    for said in (
        ada,
        ProfileChanged(user_id=ada.user_id, name="Ada", locale="ko", timezone="Asia/Seoul"),
        ProfileChanged(user_id=ada.user_id, name="김하늘", timezone=None),
        ProfileChanged(user_id=uuid7(), name="nobody here"),
        eve,
    ):
        await post.auth.say(said)
    async with post.mailer():
        await until(lambda: post.owner.fetchval("select count(*) = 2 from contact"))
        assert await chosen(post) == {ada.user_id: ("김하늘", "ko", None), eve.user_id: (None, None, None)}
        await post.auth.say(ProfileChanged(user_id=eve.user_id, locale="en"))
        await until(lambda: post.owner.fetchval("select count(*) = 2 from contact where locale is not null"))
        assert (await chosen(post))[eve.user_id] == (None, "en", None)
        for zone in ("Asia/Tokyo", None):
            await post.auth.say(ProfileChanged(user_id=ada.user_id, timezone=zone))
            await until(lambda: is_in(post, ada.user_id, zone))  # noqa: B023
            assert (await chosen(post))[ada.user_id] == ("김하늘", "ko", zone)


async def is_in(post: Post, person: object, zone: str | None) -> bool:
    query = "select timezone is not distinct from $2 from contact where user_id = $1"
    return bool(await post.owner.fetchval(query, person, zone))


async def chosen(post: Post) -> dict[object, tuple[object, ...]]:
    rows = await post.owner.fetch("select user_id, name, locale, timezone from contact")
    return {row["user_id"]: (row["name"], row["locale"], row["timezone"]) for row in rows}
