"""Fixtures of the mailer's tests; what they are made of is in mailing.py."""

from collections.abc import AsyncIterator

import mailing as parts
import pytest

from local.fixtures import DatabaseFactory
from local.nats import Nats


@pytest.fixture
async def post(database: DatabaseFactory, nats: Nats) -> AsyncIterator[parts.Post]:
    async with parts.opened(database("mailer"), nats) as opened:
        yield opened
