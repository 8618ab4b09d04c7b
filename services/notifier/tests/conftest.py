"""What the tests of this service start from."""

from collections.abc import AsyncIterator

import pytest
from notifying import World, world_of
from providing import Played, playing

from local.fixtures import DatabaseFactory
from local.nats import Nats


@pytest.fixture
async def world(database: DatabaseFactory, nats: Nats) -> AsyncIterator[World]:
    async with world_of(database("notifier"), nats) as made:
        yield made


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    async with playing() as provider:
        yield provider
