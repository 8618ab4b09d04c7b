"""One document and one page for everything behind the gateway."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import msgspec
import schemathesis

from local.gateway import ROUTES, assets
from local.reference import FILE, PROBLEMS, collected, merged, problems_of, text_of
from system import System

OUTSIDE = re.compile(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", re.IGNORECASE)
LOADING = re.compile(r"""(?:url\(|@import\s|importScripts\(|\bimport\()\s*["']?(?:https?:)?//""", re.IGNORECASE)


class Loaded(HTMLParser):
    """What a page makes its reader fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = dict(attrs).get("src") or (dict(attrs).get("href") if tag == "link" else None)
        if wanted:
            self.addresses.append(wanted)


def test_the_document_is_what_the_services_say_of_themselves(world: System) -> None:
    now = merged(collected(world.stack.details["services"]))
    assert text_of(now) == FILE.read_text(), "run `just openapi`"
    assert problems_of(now) == PROBLEMS.read_text(), "run `just openapi`"


def test_the_gateway_serves_the_document_and_every_path_in_it(world: System) -> None:
    with httpx.Client(base_url=world.stack.gateway) as http:
        served = http.get("/openapi.json")
        assert served.headers["content-type"] == "application/json"
        assert served.text == FILE.read_text()
        for path in served.json()["paths"]:
            answer = http.request("OPTIONS", path.replace("{", "").replace("}", ""))
            assert answer.headers.get("x-request-id"), path
            assert any(path.startswith(prefix) for prefixes in ROUTES.values() for prefix in prefixes), path


def test_the_document_is_valid_and_says_all_with_types() -> None:
    document = msgspec.json.decode(FILE.read_bytes())
    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1")
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["tags"]
            assert "default" not in operation["responses"]
    assert not list(untyped(document, "#"))


def untyped(part: object, place: str) -> list[str]:
    """Schemas that say nothing about what they describe."""
    found = []
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        inner = f"{place}/{key}"
        is_schema = key in {"schema", "items"} or place.endswith(("/properties", "/schemas"))
        says = isinstance(value, dict) and {"type", "$ref", "anyOf", "allOf", "enum", "const"} & value.keys()
        if is_schema and not says:
            found.append(inner)
        if key not in {"example", "examples"}:
            found += untyped(value, inner)
    return found


def test_no_pattern_of_what_is_sent_lets_a_last_line_break_in() -> None:
    """`$` alone matches before one, too. Headers are not tried by their patterns, and have no line breaks."""
    patterns = set(patterns_of(msgspec.json.decode(FILE.read_bytes())["components"]["schemas"]))
    ending = {pattern for pattern in patterns if pattern.endswith("$")}
    assert ending
    assert {pattern for pattern in ending if not pattern.endswith(r"(?!\n)$")} == set()


def patterns_of(part: object) -> Iterator[str]:
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        if key == "pattern" and isinstance(value, str):
            yield value
        yield from patterns_of(value)


def test_the_reference_page_asks_nobody_but_the_gateway(world: System) -> None:
    with httpx.Client(base_url=world.stack.gateway) as http:
        for address in ("/docs", "/docs/"):
            page = http.get(address)
            assert page.headers["content-type"].startswith("text/html")
            assert page.headers["content-security-policy"].startswith("default-src 'self';")
        loaded = Loaded()
        loaded.feed(page.text)
        assert len(loaded.addresses) == 4
        assert not OUTSIDE.search(page.text)
        texts = {}
        for address in loaded.addresses:
            assert address.startswith("/docs/")
            answer = http.get(address)
            assert answer.status_code == 200, address
            texts[address] = answer.text
        script = texts["/docs/reference.js"]
        assert not OUTSIDE.search(script)
        assert "validatorUrl: null" in script
        assert 'url: "/openapi.json"' in script
        assert not [address for address, text in texts.items() if LOADING.search(text)]


def test_the_page_is_made_of_a_wheel() -> None:
    assert "site-packages" in str(assets())
