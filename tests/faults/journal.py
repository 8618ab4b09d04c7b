"""What happened in a run, in order, to be written down when it went wrong."""

from pathlib import Path
from time import monotonic
from typing import Any

import msgspec


class Journal:
    """Lines of a run: seconds since its beginning, what, and particulars. No address, code or token is among them."""

    def __init__(self) -> None:
        self._begun = monotonic()
        self._lines: list[dict[str, Any]] = []

    def note(self, what: str, **particulars: Any) -> None:
        """Keep a line."""
        self._lines.append({"at": round(monotonic() - self._begun, 3), "what": what, **particulars})

    def count(self, *whats: str) -> int:
        """How many lines say one of these."""
        return sum(line["what"] in whats for line in self._lines)

    def write(self, path: Path) -> None:
        """Write all lines to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in self._lines) + b"\n")
