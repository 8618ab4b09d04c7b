"""Tables that docs/operations.md has between markers, as the tests that hold them write them."""

from collections.abc import Iterable, Sequence

from local.layout import REPOSITORY

_PAGE = REPOSITORY / "docs" / "operations.md"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(line)} |" for line in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]])


def kept(name: str) -> str:
    """The table that the page has after `<!-- who may: NAME -->`."""
    _, _, after = _PAGE.read_text().partition(f"<!-- who may: {name} -->\n")
    return after.partition("\n\n")[0]
