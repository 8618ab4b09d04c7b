"""Each schema.sql says what its migrations together make."""

import pytest

from local.cluster import Cluster
from local.fixtures import DatabaseFactory
from local.schema import PLACES, objects, schema_of


@pytest.mark.parametrize("service", PLACES)
def test_the_migrations_together_make_the_schema(service: str, database: DatabaseFactory, postgres: Cluster) -> None:
    library = objects(postgres, database("events").name)
    own = objects(postgres, database(service).name)
    assert schema_of(service, own, library) == PLACES[service].read_text(), "run `just schema`"
