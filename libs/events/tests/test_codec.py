"""The codec: names to structs and back, unknown things skipped, misfits told apart."""

import msgspec
import pytest

from events.codec import Codec
from events.errors import Undecodable


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    place: str
    speed: int = 1


class Stopped(msgspec.Struct, frozen=True):
    pass


CODEC = Codec({"bus.Moved.v1": Moved})


def test_an_event_comes_back_as_it_was() -> None:
    event = Moved(place="서울", speed=3)
    assert CODEC.decode(CODEC.name_of(event), CODEC.encode(event)) == event


def test_data_is_compact_json_in_the_order_of_the_fields() -> None:
    assert CODEC.encode(Moved(place="서울")) == '{"place":"서울","speed":1}'


def test_an_unknown_type_is_nothing() -> None:
    assert CODEC.decode("bus.Stopped.v1", b"not even json") is None


def test_an_unknown_field_is_ignored() -> None:
    assert CODEC.decode("bus.Moved.v1", b'{"place":"x","driver":"y"}') == Moved(place="x")


def test_what_is_nested_too_deeply_does_not_decode() -> None:
    with pytest.raises(Undecodable, match="nested too deeply"):
        CODEC.decode("bus.Moved.v1", b'{"driver":' + b"[" * 20_000)


def test_a_field_with_a_default_may_be_missing() -> None:
    assert CODEC.decode("bus.Moved.v1", b'{"place":"x"}') == Moved(place="x", speed=1)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"place":1}', b'{"place":"\xff"}', b"\xff"])
def test_a_known_type_that_does_not_fit_is_undecodable(raw: bytes) -> None:
    with pytest.raises(Undecodable, match=r"bus\.Moved\.v1"):
        CODEC.decode("bus.Moved.v1", raw)


def test_a_struct_outside_the_catalogue_has_no_name() -> None:
    with pytest.raises(KeyError):
        CODEC.name_of(Stopped())
