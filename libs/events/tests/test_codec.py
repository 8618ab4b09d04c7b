"""The codec: names to structs and back, unknown things skipped, misfits told apart."""

import msgspec
import pytest

from events.codec import Codec, Upcast
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


class Went(msgspec.Struct, frozen=True):
    """What `Moved` was once."""

    town: str


class Drove(msgspec.Struct, frozen=True):
    """What `Went` was before."""

    city: str


OLD = Codec(
    {"bus.Moved.v1": Moved, "bus.Went.v1": Went, "bus.Drove.v1": Drove},
    {Went: Upcast(Moved, lambda went: Moved(place=went.town)), Drove: Upcast(Went, lambda drove: Went(drove.city))},
)


@pytest.mark.parametrize(
    ("name", "raw"),
    [("bus.Moved.v1", b'{"place":"x"}'), ("bus.Went.v1", b'{"town":"x"}'), ("bus.Drove.v1", b'{"city":"x"}')],
)
def test_what_was_said_in_an_old_type_is_heard_as_the_newest(name: str, raw: bytes) -> None:
    assert OLD.decode(name, raw) == Moved(place="x")


def test_an_old_type_that_does_not_fit_is_undecodable_by_its_own_name() -> None:
    with pytest.raises(Undecodable, match=r"bus\.Went\.v1"):
        OLD.decode("bus.Went.v1", b'{"place":"x"}')


def test_whoever_hears_a_type_hears_those_that_are_lifted_to_it() -> None:
    assert OLD.heard_as(Moved) == {"bus.Moved.v1", "bus.Went.v1", "bus.Drove.v1"}
    assert OLD.heard_as(Drove) == {"bus.Drove.v1"}
