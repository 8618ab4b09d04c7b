"""A service's part of what a person takes along: one query, one snapshot, one document."""

from typing import Annotated, Final, TypeAlias

import asyncpg
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Raw

from api.answers import Answer, Envelope, answer, private
from api.guard import signed_in
from api.messages import Message
from api.requests import Request
from api.routes import get

EXPORTED: Final = Message(key="export.part", en="Data exported successfully", ko="데이터를 내보냈습니다")
Part: TypeAlias = Annotated[
    Raw, Meta(description="Rows by what they are", extra_json_schema={"type": "object"}, examples=[{"rows": []}])
]
"""JSON of its own shape in each service."""


def export_route(path: str, pool: asyncpg.Pool, query: str) -> HTTPRouteHandler:
    """`GET path`: what `query` gives of the signed-in person ($1), JSON as text; auth puts the parts together."""

    @get(path, guards=[signed_in])
    async def export(request: Request) -> Answer[Envelope[Part]]:
        """Get everything that this service holds about you."""
        document: str = await pool.fetchval(query, request.user.id)
        return private(answer(request, EXPORTED, Raw(document.encode())))

    return export
