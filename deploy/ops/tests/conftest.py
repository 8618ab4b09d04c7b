"""Fixtures of todo-ops' tests; what they are made of is in desk.py."""

import asyncio

import pytest
from desk import Desk, make_streams

from events.catalog.feeds import HEARS
from local.fixtures import DatabaseFactory
from local.nats import Nats


@pytest.fixture
def desk(database: DatabaseFactory, nats: Nats) -> Desk:
    asyncio.run(make_streams(nats))
    return Desk({name: database(name) for name in HEARS}, nats)
