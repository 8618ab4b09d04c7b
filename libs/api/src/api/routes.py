"""The route decorators of the house's services: Litestar's, whose guards get the handler itself."""

from functools import partial
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler


class Handler(HTTPRouteHandler):
    """Litestar copies a handler for every guard of every request, which cost a tenth of a POST (docs/adr/0028)."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Litestar's hook."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]


get: Final = partial(Handler, http_method="GET")
post: Final = partial(Handler, http_method="POST")
patch: Final = partial(Handler, http_method="PATCH")
delete: Final = partial(Handler, http_method="DELETE")
