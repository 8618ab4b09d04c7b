"""The fourteen published flaws of sign-in services. Here each is one lesson, and one mutant brings the flaw back.

`LESSONS` names them all: the test that turns red (here, or where it stood already) and the patch in tests/mutants.
"""

import asyncio
import logging
import random
import re
import shlex
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeAlias
from uuid import uuid4

import httpx
import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler
from signing import ADA, Service, appends_held_up, running, wrong

from api.guard import signed_in
from auth.api import ROUTES
from local.fixtures import DatabaseFactory

Answer: TypeAlias = dict[str, Any]
REPOSITORY: Final = Path(__file__).resolve().parents[3]
EVE: Final = "eve@example.test"
HERE, CODES, SESSIONS = (f"services/auth/tests/test_{name}.py" for name in ("fourteen", "codes", "sessions"))

LESSONS: Final = {
    "parallel correct submits": (CODES, "test_fifty_right_answers_at_once_make_one_session", "auth-code-works-twice"),
    "a lock erased by a roll-back": (HERE, "test_a_lock_outlives_the_requests_that_failed", "auth-guesses-rolled-back"),
    "no limiter, no end": (CODES, "test_the_sixth_guess_fails_whatever_it_is", "auth-guesses-uncounted"),
    "a new address of the same /64": (HERE, "test_a_network_is_one_however_it_is_spelled", "auth-each-ipv6-anew"),
    "sending limited, verifying not": (HERE, "test_verifying_is_limited_as_sending_is", "auth-verify-unlimited"),
    "a route without a limiter": (HERE, "test_every_route_is_limited_or_guarded", "auth-ask-unlimited"),
    "a code in an answer or a log": (HERE, "test_a_code_is_in_no_answer_and_no_log", "auth-code-answered"),
    "forged forwarding headers": (HERE, "test_a_forged_header_makes_no_new_network", "auth-leftmost-believed"),
    "parallel challenges": (HERE, "test_parallel_challenges_do_not_multiply_guesses", "auth-lock-seen-too-early"),
    "a second path": (HERE, "test_no_second_path_is_easier_to_guess", "auth-any-device-known"),
    "parallel refreshes": (SESSIONS, "test_twenty_refreshes_at_once_leave_one_child", "auth-two-children"),
    "answers that tell": (HERE, "test_an_unknown_address_cannot_be_told_from_a_known_one", "auth-known-takes-longer"),
    "a session without a code": (HERE, "test_there_is_no_session_without_a_verified_code", "auth-empty-code-right"),
    "an address registered before": (
        HERE,
        "test_who_asked_before_leaves_nothing_to_inherit",
        "auth-reserved-at-asking",
    ),
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_lesson_has_its_test_and_a_mutant_that_it_kills(lesson: str) -> None:
    file, test, mutant = LESSONS[lesson]
    assert f"def {test}(" in (REPOSITORY / file).read_text()
    patch = (REPOSITORY / "tests" / "mutants" / f"{mutant}.patch").read_text()
    where, option, words = shlex.split(patch.splitlines()[1].removeprefix("kill: "))
    assert (where, option) == (file, "-k")
    assert words in test
    assert len(LESSONS) == 14


async def test_a_lock_outlives_the_requests_that_failed(database: DatabaseFactory) -> None:
    """Counted inside the request's own transaction, ten wrong guesses would be forgotten with it."""
    made = database("auth")
    async with running(made.url, LOCK_AFTER="10") as auth:
        codes = [await auth.challenge(), await auth.challenge()]
        async with appends_held_up(made.owner_url):
            failed = await asyncio.gather(*(auth.answer(wrong(code)) for code in codes for _ in range(5)))
        assert {answer.status_code for answer in failed} == {503}
        assert (await auth.ask()).json()["code"] == "otp.locked"


SPELLINGS: Final = (
    "2001:db8:1:2::1",
    "2001:0db8:0001:0002:0000:0000:0000:0002",
    "2001:DB8:1:2:0:0:0:3",
    "2001:db8:1:2:ffff:ffff:192.0.2.1",
    "2001:db8:1:2::4%eth0",
)


@pytest.mark.parametrize("spellings", [SPELLINGS, ("192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:0207")])
async def test_a_network_is_one_however_it_is_spelled(database: DatabaseFactory, spellings: tuple[str, ...]) -> None:
    """Whoever has one IPv6 address has 2^64 of them."""
    few = str(len(spellings) - 1)
    async with running(database("auth").url, OTP_PER_IP_PER_HOUR=few, GUESSES_PER_IP_PER_HOUR=few) as auth:
        code = await auth.challenge()
        for act in (
            lambda nr, ip: auth.ask(f"a{nr}@example.test", **{"x-forwarded-for": ip}),
            lambda _, ip: auth.answer(wrong(code), **{"x-forwarded-for": ip}),
        ):
            statuses = [(await act(nr, ip)).status_code for nr, ip in enumerate(spellings)]
            assert 429 not in statuses[:-1]
            assert statuses[-1] == 429


async def test_verifying_is_limited_as_sending_is(database: DatabaseFactory) -> None:
    async with running(database("auth").url, OTP_PER_IP_PER_HOUR="4", GUESSES_PER_IP_PER_HOUR="4") as auth:
        codes = [await auth.challenge(f"a{nr}@example.test") for nr in range(4)]
        assert (await auth.ask("b@example.test")).status_code == 429
        guesses = [(await auth.answer(wrong(code))).status_code for code in codes]
        assert guesses == [401] * 4
        assert (await auth.answer(codes[0])).status_code == 429, "even with the right code"


UNLIMITED: Final = {
    "/users/refresh": "its secret is 128 random bits under a MAC, judged before any table is read",
    "/.well-known/jwks.json": "public, the same for everybody, and cached",
    "/.well-known/openid-configuration": "public, the same for everybody, and cached",
}
BODIES: Final[dict[str, dict[str, object]]] = {
    "/users/request-otp": {"email": ADA},
    "/users/verify-otp": {"email": ADA, "challenge_id": str(uuid4()), "otp_code": "000000"},
}


def handlers() -> list[tuple[str, str, HTTPRouteHandler]]:
    return [(path, method, route) for route in ROUTES for path in route.paths for method in route.http_methods]


@pytest.mark.parametrize(("path", "method", "route"), handlers(), ids=str)
async def test_every_route_is_limited_or_guarded(
    database: DatabaseFactory, path: str, method: str, route: HTTPRouteHandler
) -> None:
    """Of all routes, so that a new one must say which it is."""
    if path in UNLIMITED:
        return
    async with running(database("auth").url, OTP_PER_IP_PER_HOUR="2", GUESSES_PER_IP_PER_HOUR="2") as auth:
        place = re.sub(r"\{[^}]+\}", str(uuid4()), path)
        statuses = [(await auth.http.request(method, place, json=BODIES.get(path))).status_code for _ in range(3)]
        if signed_in in (route.guards or ()):
            assert statuses == [401] * 3
        else:
            assert 429 not in statuses[:2]
            assert statuses[2] == 429


async def test_a_code_is_in_no_answer_and_no_log(
    database: DatabaseFactory, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(database("auth").url, OTP_LENGTH="12", LOCK_AFTER="10") as auth:
        asked = await auth.ask()
        challenge_id = asked.json()["data"]["challenge_id"]
        code = {"email": ADA, "challenge_id": challenge_id, "otp_code": (await auth.letter(challenge_id)).code}
        secret = code["otp_code"]
        answers = [asked, await auth.answer(code | {"email": EVE}), await auth.answer(code), await auth.answer(code)]
        answers += [await auth.answer(code | {"email": 1}), await auth.answer(code | {"challenge_id": secret})]
        answers += [await auth.http.get(f"/users/verify-otp?otp_code={secret[:3]}"), await auth.ask()]
    assert [answer.status_code for answer in answers] == [200, 401, 200, 401, 422, 422, 405, 200]
    shown = "".join(f"{answer.headers} {answer.text}" for answer in answers) + caplog.text + "".join(capfd.readouterr())
    assert "/users/verify-otp" in shown
    assert secret not in shown


async def test_a_forged_header_makes_no_new_network(database: DatabaseFactory) -> None:
    async with running(database("auth").url, OTP_PER_IP_PER_HOUR="3") as behind_a_proxy:
        forged = [
            {"x-forwarded-for": f"203.0.113.{nr}, 198.51.100.1", "x-real-ip": f"203.0.113.{nr}",
             "forwarded": f"for=203.0.113.{nr}", "true-client-ip": f"203.0.113.{nr}"}
            for nr in range(4)
        ]  # fmt: skip
        asked = [await behind_a_proxy.ask(f"a{nr}@example.test", **headers) for nr, headers in enumerate(forged)]
        assert [answer.status_code for answer in asked] == [200, 200, 200, 429]
    async with running(database("auth").url, OTP_PER_IP_PER_HOUR="3", TRUSTED_PROXIES="10.0.0.0/8") as open_to_all:
        asked = [
            await open_to_all.ask(f"a{nr}@example.test", **{"x-forwarded-for": f"203.0.113.{nr}"}) for nr in range(4)
        ]
        assert [answer.status_code for answer in asked] == [200, 200, 200, 429]


async def test_parallel_challenges_do_not_multiply_guesses(database: DatabaseFactory) -> None:
    """Guesses at many codes at once have all seen the address open: those past the lock must not be compared."""
    async with running(database("auth").url, LOCK_AFTER="10") as auth:
        codes = [await auth.challenge() for _ in range(10)]
        statuses = Counter(
            answer.status_code
            for answer in await asyncio.gather(*(auth.answer(wrong(code)) for code in codes for _ in range(5)))
        )
        assert statuses[401] <= 10
        assert statuses[429] == 50 - statuses[401]
        assert {(await auth.answer(code)).status_code for code in codes} == {429}


async def test_no_second_path_is_easier_to_guess(database: DatabaseFactory) -> None:
    """A device token lets its holder past the lock: it cannot be made up, and it buys no guesses."""
    async with running(database("auth").url, LOCK_AFTER="10") as auth:
        ada, eve = await auth.sign_in(), await auth.sign_in(EVE)
        for _ in range(2):
            code = await auth.challenge()
            await asyncio.gather(*(auth.answer(wrong(code)) for _ in range(5)))
        real = ada["device_token"]
        for made_up in (eve["device_token"], real[:-1], real + "A", real.replace("k1.", "k2."), "k1.AAAA", "", "k1."):
            assert (await auth.ask(device_token=made_up)).status_code == 429
        asked = (await auth.ask(device_token=real)).json()["data"]
        code = {"email": ADA, "challenge_id": asked["challenge_id"], "device_token": real}
        code["otp_code"] = (await auth.letter(asked["challenge_id"])).code
        assert [(await auth.answer(wrong(code))).status_code for _ in range(5)] == [401] * 5
        assert (await auth.answer(code)).status_code == 401, "a known device has five guesses too"
        for token in (ada["refresh_token"][:-4] + "AAAA", ada["device_token"], ada["access_token"]):
            assert (await auth.refresh(token)).status_code == 401


@pytest.mark.timeout(600)
async def test_an_unknown_address_cannot_be_told_from_a_known_one(auth: Service, full: bool) -> None:
    """Neither by the bytes nor by the time: the two are asked in turns, and a guess by the time is a coin's.

    A coin falls outside of the band once in 2,000 times; a difference would be there twice.
    """
    pairs, band = (1000, 0.05) if full else (200, 0.1)
    await auth.sign_in("known@example.test")
    areas = [await guessed(auth, pairs)]
    if not 0.5 - band < areas[0] < 0.5 + band:
        areas.append(await guessed(auth, pairs))
    assert 0.5 - band < areas[-1] < 0.5 + band, f"AUC {areas} over {2 * pairs} requests each"
    print(f"AUC {areas} over {2 * pairs} requests each")


async def guessed(auth: Service, pairs: int) -> float:
    """How well the time tells a known address from another, 0.5 for not at all; their answers are the same."""
    times: dict[str, list[float]] = {"known": [], "other": []}
    shapes = set()
    for _ in range(20):
        await auth.ask(EVE)
    for _ in range(pairs):
        for name in random.sample(sorted(times), 2):
            email = f"{name}@example.test"
            begun = perf_counter()
            answer = await auth.ask(email, **{"x-request-id": "same"})
            times[name].append(perf_counter() - begun)
            shapes.add(shape(answer, email))
    assert len(shapes) == 1
    return area_under_curve(times["known"], times["other"])


def shape(answer: httpx.Response, email: str) -> tuple[object, ...]:
    """An answer but for the ids in it."""
    body = answer.text.replace(answer.json()["data"]["challenge_id"], "id").replace(email, "email")
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-event-position"}}
    return answer.status_code, tuple(sorted(headers)), body


def area_under_curve(ones: list[float], others: list[float]) -> float:
    """How often one of `ones` is larger than one of `others` (Mann and Whitney)."""
    larger = sum((one > other) + (one == other) / 2 for one in ones for other in others)
    return larger / (len(ones) * len(others))


def fullwidth(text: str) -> str:
    return "".join(chr(ord(digit) + 0xFEE0) for digit in text)


def left_out(name: str, own: Answer, _: Answer) -> Answer:
    return {field: value for field, value in own.items() if field != name}


def put(name: str, odd: object, own: Answer, _: Answer) -> Answer:
    return own | {name: odd}


NO_ANSWERS: Final[dict[str, Callable[[Answer, Answer], Answer]]] = {
    **{f"without {name}": partial(left_out, name) for name in ("email", "challenge_id", "otp_code")},
    **{f"with {odd!r}": partial(put, "otp_code", odd) for odd in (None, "", " ", "x", [], {}, 0, True, "0" * 6 + "\0")},
    "the code in a list": lambda own, _: own | {"otp_code": [own["otp_code"]]},
    "the code as a number": lambda own, _: own | {"otp_code": int(own["otp_code"])},
    "the code with a blank": lambda own, _: own | {"otp_code": f" {own['otp_code']}"},
    "the code in other digits": lambda own, _: own | {"otp_code": fullwidth(own["otp_code"])},
    "another code": lambda own, _: wrong(own),
    "at another's address": lambda own, eves: own | {"email": eves["email"]},
    "another's challenge": lambda own, eves: own | {"challenge_id": eves["challenge_id"]},
    "another's code": lambda own, eves: (
        wrong(own) if eves["otp_code"] == own["otp_code"] else own | {"otp_code": eves["otp_code"]}
    ),
    "another's code and challenge": lambda own, eves: eves | {"email": own["email"]},
    "no challenge of ours": lambda own, _: own | {"challenge_id": str(uuid4())},
}


async def test_there_is_no_session_without_a_verified_code(auth: Service) -> None:
    eves = await auth.challenge(EVE)
    for name, answer in NO_ANSWERS.items():
        refused = await auth.answer(answer(await auth.challenge(), eves))
        assert refused.status_code in {401, 422}, name
    late = await auth.challenge()
    auth.clock.move(minutes=5)
    assert (await auth.answer(late)).status_code == 401
    assert await auth.pool.fetchval("select count(*) from session") == 0
    assert await auth.pool.fetchval("select count(*) from account") == 0
    assert not {"UserSignedIn", "UserRegistered"} & set(await auth.said())


async def test_who_asked_before_leaves_nothing_to_inherit(auth: Service) -> None:
    """Somebody else asks codes for an address, guesses, and waits for its owner."""
    before = [await auth.challenge() for _ in range(3)]
    for code in before:
        await auth.answer(wrong(code), **{"user-agent": "Eve's"})
    assert await auth.pool.fetch("select id from account") == []
    ada = await auth.sign_in(**{"user-agent": "Ada's"})
    me = (await auth.me(ada["access_token"])).json()["data"]
    chosen = (me["name"], me["locale"], me["timezone"], me["roles"])
    assert chosen == (None, None, None, [])
    sessions = (await auth.call("GET", "/users/me/sessions", ada["access_token"])).json()["data"]
    assert [(session["device"], session["current"]) for session in sessions] == [("Ada's", True)]
    [registered] = await auth.events("UserRegistered")
    assert msgspec.json.decode(registered["data"])["user_id"] == ada["user"]["id"]
    assert me["registered_at"] == registered["time"].isoformat().replace("+00:00", "Z")
    assert await auth.pool.fetchval("select count(*) from streak") == 0, "and the strangers' guesses are forgiven"
