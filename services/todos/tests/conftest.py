"""The running service."""

from collections.abc import AsyncIterator

import pytest
from todoing import Service, running

from local.fixtures import DatabaseFactory


@pytest.fixture
async def todos(database: DatabaseFactory) -> AsyncIterator[Service]:
    async with running(database("todos").url) as service:
        yield service
