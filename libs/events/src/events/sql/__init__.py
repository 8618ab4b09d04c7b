"""Named queries: each lives in its own .sql file and is loaded once."""

from functools import cache
from importlib.resources import files
from types import SimpleNamespace


@cache
def load(package: str) -> SimpleNamespace:
    """The queries of `<package>/sql/*.sql` as attributes named after the files.

    `load("todos").get_todo` is the text of `todos/sql/get_todo.sql`; a name without a file raises `AttributeError`.
    """
    folder = files(package) / "sql"
    return SimpleNamespace(
        **{
            entry.name.removesuffix(".sql"): entry.read_text()
            for entry in folder.iterdir()
            if entry.name.endswith(".sql") and entry.name != "schema.sql"
        }
    )


def filled(query: str, **parts: str) -> str:
    """A query with each part in the place of its `{name}`: names and conditions of ours, never values."""
    for name, part in parts.items():
        query = query.replace(f"{{{name}}}", part)
    return query
