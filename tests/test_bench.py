"""What benchmarks stand on: the load generators and the mail server that counts."""

import asyncio
import re
import shutil

import aiosmtplib
import pytest
from bench import load
from bench.counts import Unsound
from bench.smtp import serving

from answering import answering

_BODY = f'{{"email":"{load.NUMBER}@example.org"}}'
_GENERATORS = ["load.py", pytest.param("wrk", marks=pytest.mark.skipif(not shutil.which("wrk"), reason="no wrk here"))]


@pytest.fixture(params=_GENERATORS)
def generator(request, monkeypatch):
    if request.param == "load.py":
        monkeypatch.setattr("bench.generators.shutil.which", lambda _: None)


async def _load(status: int, expected: int, body: str) -> list[bytes]:
    bodies: list[bytes] = []

    async def answer(_: str, body: bytes) -> tuple[int, bytes]:
        bodies.append(body)
        return status, b""

    async with answering(answer) as url:
        run = await load.load(load.Target(url=url, path="/", body=body, token="t", seconds=1, status=expected))
        assert run.answered <= len(bodies) <= run.answered + load.cut_off()
    return bodies


async def test_each_request_has_a_number_of_its_own_where_the_body_asks_for_one(generator):
    bodies = await _load(200, 200, _BODY)

    assert len(set(bodies)) == len(bodies)
    assert all(re.fullmatch(rb'{"email":"\d{8}@example.org"}', body) for body in bodies)


async def test_other_bodies_are_sent_as_they_are(generator):
    assert set(await _load(201, 201, '{"title":"100 % $x"}')) == {b'{"title":"100 % $x"}'}


async def test_refusals_make_a_run_unsound(generator):
    with pytest.raises(Unsound, match="were not 200"):
        await _load(429, 200, _BODY)


async def test_the_mail_server_counts_mails_and_people_and_answers_as_late_as_it_is_told():
    with serving() as postbox:
        await postbox.begin(50)
        began = asyncio.get_running_loop().time()
        for person in ("ann", "ann", "bob"):
            mail = "From: a@example.org\r\nSubject: x\r\n\r\n.\r\n..\r\nEnd\r\n"
            await aiosmtplib.send(
                mail,
                sender="a@example.org",
                recipients=f"{person}@example.org",
                hostname="127.0.0.1",
                port=postbox.port,
            )
        took = asyncio.get_running_loop().time() - began
        counts = await postbox.counts()

        assert (counts.mails, counts.people) == (3, 2)
        assert 0.15 <= counts.connection_seconds <= took
        assert counts.last <= counts.seconds
        await postbox.begin(0)
        assert (await postbox.counts()).mails == 0
