"""What tests of a restore of mailer's database share."""

import copying
from copying import Copy
from mailing import Post, registered
from test_notices import heard_all

from local.fixtures import until

ROWS = ("letter", "contact", "preference", "events.checkpoint")
UNDER_WAY = "ends what mailer has under way"
SHOWN = "select id, state, sealed, facts, token, held_until from letter where cause = any ($1) order by id"


async def copied(post: Post) -> Copy:
    """A copy of its database, taken while no mailer runs."""
    return await copying.copied("MAILER", post.database, post.server, post.owner, ROWS)


async def heard(post: Post) -> None:
    """Somebody new gets a letter, and everything said before was heard."""
    await post.settled(await post.auth.say(registered()), "sent")
    await until(lambda: heard_all(post))
