"""Bytes that no client library would send: every one is answered or cut off, and the server lives on."""

import asyncio

import httpx
import pytest

REQUESTS = {
    "no http at all": b"hello\r\n\r\n",
    "no host": b"GET /things HTTP/1.1\r\n\r\n",
    "a broken host": b"GET /things HTTP/1.1\r\nhost: a b\xff/\r\n\r\n",
    "two hosts": b"GET /things HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "a path in Latin-1": b"GET /thi\xffngs HTTP/1.1\r\nhost: a\r\n\r\n",
    "a query in Latin-1": b"GET /things?kind=\xff HTTP/1.1\r\nhost: a\r\n\r\n",
    "a query of broken UTF-8": b"GET /things?cursor=%ff%fe HTTP/1.1\r\nhost: a\r\n\r\n",
    "a query of separators": b"GET /things?&&&=&=&a&=b HTTP/1.1\r\nhost: a\r\n\r\n",
    "a broken escape": b"GET /things?kind=%zz&limit=%1 HTTP/1.1\r\nhost: a\r\n\r\n",
    "dots": b"GET /../../things/./%2e%2e HTTP/1.1\r\nhost: a\r\n\r\n",
    "an absolute target": b"GET http://a/things HTTP/1.1\r\nhost: a\r\n\r\n",
    "an authority target": b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    "a length that is none": b"POST /things HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    "a negative length": b"POST /things HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "two lengths": b"POST /things HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a bad chunk": b"POST /things HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "a header in Latin-1": b"GET /x HTTP/1.1\r\nhost: a\r\naccept-language: \xff;q=\xff\r\nx-request-id: \xe9\r\n\r\n",
    "a token in Latin-1": b"GET /secrets HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \xff\xfe.\xff.\xff\r\n\r\n",
    "a trace that is none": b"GET /things HTTP/1.1\r\nhost: a\r\ntraceparent: 00-\xff-x-01\r\n\r\n",
    "a position in digits of elsewhere": "GET / HTTP/1.1\r\nhost: a\r\nx-min-position: TODOS:\u0661\r\n\r\n".encode(),
    "a header without end": b"GET /things HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 300_000,
    "an upgrade to nothing": b"GET /things HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h9\r\n\r\n",
    "a socket where there is none": (
        b"GET /things HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ),
}


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
async def test_strange_bytes_are_never_our_fault(client: httpx.AsyncClient, request_bytes: bytes) -> None:
    status = await status_of(client, request_bytes)
    assert status is None or status < 500, status
    assert (await client.get("/things")).status_code == 200


async def status_of(client: httpx.AsyncClient, request: bytes) -> int | None:
    """The status of the first answer to raw bytes; None where the server hung up or waits for more."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        writer.write(request)
        async with asyncio.timeout(1):
            line = await reader.readline()
            return int(line.split()[1]) if line else None
    except (TimeoutError, ConnectionError):
        return None
    finally:
        writer.close()
