"""One OpenAPI document for the whole gateway: what every service says of itself, put together.

`python -m local.reference write` makes docs/openapi.json from the services of a stack of its own; a test holds the file
to what a stack serves, so it changes where a route changes.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec

from local import ports
from local.layout import REPOSITORY, layout
from local.stack import Stack

Document = Mapping[str, Any]

FILE = REPOSITORY / "docs" / "openapi.json"
_TITLE = "Todo API"


def collected(services: Mapping[str, str]) -> dict[str, Document]:
    """The document of each service that has one, by its URL."""
    answers = {name: httpx.get(f"{url}/openapi.json") for name, url in services.items()}
    documents = {name: answer.raise_for_status().json() for name, answer in answers.items()}
    return {name: document for name, document in sorted(documents.items()) if document["paths"]}


def merged(documents: Mapping[str, Document]) -> dict[str, Any]:
    """All of them as one. What bears one name and differs is named after its service.

    Raises `ValueError` where two services have one path or one operationId.
    """
    clashing = _clashing(documents)
    own = {name: _renamed(name, document, clashing) for name, document in documents.items()}
    components: dict[str, dict[str, Any]] = {}
    for document in own.values():
        for kind, parts in document["components"].items():
            components.setdefault(kind, {}).update(parts)
    first = next(iter(own.values()))
    return {
        "openapi": first["openapi"],
        "info": first["info"] | {"title": _TITLE},
        "servers": first["servers"],
        "tags": [
            tag | {"description": document["info"]["title"]} for document in own.values() for tag in document["tags"]
        ],
        "paths": dict(_paths(own)),
        "components": {kind: dict(sorted(parts.items())) for kind, parts in components.items()},
    }


def text_of(document: Document) -> str:
    """As the file holds it."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _paths(documents: Mapping[str, Document]) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for service, document in documents.items():
        for path, methods in document["paths"].items():
            names = [path, *(operation["operationId"] for operation in methods.values())]
            if twice := seen.intersection(names):
                raise ValueError(f"{service} describes what another service has too: {', '.join(sorted(twice))}")
            seen.update(names)
            yield path, methods


def _components(document: Document) -> Iterator[tuple[str, str]]:
    """Each component of a document: what refers to it, and its text."""
    for kind, parts in document["components"].items():
        for name, part in parts.items():
            yield f"#/components/{kind}/{name}", msgspec.json.encode(part).decode()


def _clashing(documents: Mapping[str, Document]) -> set[str]:
    """Components that differ between services, and those that refer to such."""
    texts: dict[str, set[str]] = {}
    for document in documents.values():
        for reference, text in _components(document):
            texts.setdefault(reference, set()).add(text)
    clashing = {reference for reference, variants in texts.items() if len(variants) > 1}
    while more := {
        reference
        for reference, variants in texts.items()
        if reference not in clashing and any(f'"{one}"' in text for one in clashing for text in variants)
    }:
        clashing |= more
    return clashing


def _renamed(service: str, document: Document, clashing: set[str]) -> dict[str, Any]:
    text = msgspec.json.encode(document).decode()
    for reference in clashing:
        kind, name = reference.rsplit("/", 2)[1:]
        text = text.replace(f'"{reference}"', f'"#/components/{kind}/{service}.{name}"')
    renamed: dict[str, Any] = msgspec.json.decode(text)
    renamed["components"] = {
        kind: {
            f"{service}.{name}" if f"#/components/{kind}/{name}" in clashing else name: part
            for name, part in parts.items()
        }
        for kind, parts in renamed["components"].items()
    }
    return renamed


def write() -> None:
    """Write the document anew."""
    stack = Stack(layout({"PORT_BASE": str(ports.free_port())}))
    try:
        stack.start({}, lambda _: None)
        FILE.write_text(text_of(merged(collected(stack.details["services"]))))
    finally:
        stack.stop()
        for folder in ((stack.layout.folder / "data").resolve(), stack.layout.folder):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit("usage: python -m local.reference write")
    write()
