"""What an error of the database says: of what it was asked, or of itself."""

import asyncpg
import pytest

from events.postgres import is_rejection


@pytest.mark.parametrize(
    ("error", "is_no"),
    [
        (asyncpg.UntranslatableCharacterError, True),
        (asyncpg.CheckViolationError, True),
        (asyncpg.InvalidAuthorizationSpecificationError, False),
        (asyncpg.InvalidPasswordError, False),
        (asyncpg.InvalidCatalogNameError, False),
        (asyncpg.InvalidCachedStatementError, False),
        (asyncpg.UndefinedColumnError, False),
        (asyncpg.QueryCanceledError, False),
    ],
)
def test_only_what_is_wrong_with_the_data_is_rejected_for_good(error: type[asyncpg.PostgresError], is_no: bool):
    assert is_rejection(error()) is is_no
