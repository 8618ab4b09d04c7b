"""Fixtures of auth's tests; what they are made of is in signing.py."""

from collections.abc import AsyncIterator

import pytest
import signing

from local.fixtures import DatabaseFactory


@pytest.fixture
async def auth(database: DatabaseFactory) -> AsyncIterator[signing.Service]:
    """The service in production, without limits."""
    async with signing.running(database("auth").url) as service:
        yield service
