"""Fixtures of the library's tests; what they are made of is in feeding.py."""

import pytest

from local.fixtures import Database, DatabaseFactory


@pytest.fixture
def todos(database: DatabaseFactory) -> Database:
    """A database of the library alone, with the feeds TODOS and OTP."""
    return database("events", feeds=("TODOS", "OTP"))
