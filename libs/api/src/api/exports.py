"""A service's part of what a person takes along: one query, one snapshot, one document."""

from typing import Final

import asyncpg
from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Raw

from api.answers import Answer, Envelope, answer, private
from api.guard import signed_in
from api.messages import Message
from api.requests import Request

EXPORTED: Final = Message(key="export.part", en="Data exported successfully", ko="데이터를 내보냈습니다")


def export_route(path: str, pool: asyncpg.Pool, query: str) -> HTTPRouteHandler:
    """`GET path`: what `query` gives of the signed-in person ($1), JSON as text; auth puts the parts together."""

    @get(path, guards=[signed_in], operation_id=f"Export{path}".replace("/", "_"))
    async def export(request: Request) -> Answer[Envelope[Raw]]:
        """Get everything that this service holds about you."""
        document: str = await pool.fetchval(query, request.user.id)
        return private(answer(request, EXPORTED, Raw(document.encode())))

    return export
