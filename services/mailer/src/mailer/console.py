"""Mail in development: a block on standard output instead of a mail server, and every mail as a file."""

import asyncio
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Final

from events.health import Check
from mailer.letters import Mail
from mailer.smtp import Mark

_RULE: Final = "=" * 50
_KEPT: Final = 30 * 24 * 3600


def block(mail: Mail) -> str:
    """What the console shows of a letter."""
    head = f"\n{_RULE}\n📧 EMAIL SENT (Development Mode)\n{_RULE}\n"
    return f"{head}To: {mail.recipient}\nSubject: {mail.subject}\nBody:\n{mail.text}\n{_RULE}\n\n"


class Console:
    """Prints letters on standard output, each in one write."""

    def check(self) -> Check:
        """Always ok."""
        return Check("console", "ok")

    def close(self) -> None:
        """Nothing to close."""

    async def send(self, mail: Mail, mark: Mark) -> None:
        """Print one letter after its `mark`."""
        await mark()
        sys.stdout.buffer.write(block(mail).encode())
        sys.stdout.buffer.flush()


def keep(mail: Mail, folder: Path) -> None:
    """Write a letter as `<id>.eml`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{mail.id}"
    draft.write_bytes(mail.content)
    draft.replace(folder / f"{mail.id}.eml")


async def drop_mails(folder: Path, limit: int) -> int:
    """Delete up to so many kept mails that are 30 days old; how many."""
    return await asyncio.to_thread(_drop_mails, folder, limit)


def _drop_mails(folder: Path, limit: int) -> int:
    # The time of the machine, as the files bear it: a clock that is moved on for a test of days keeps its mails.
    before = time.time() - _KEPT
    old = (file for file in folder.glob("*.eml") if file.stat().st_mtime < before)
    dropped = list(islice(old, limit))
    for file in dropped:
        file.unlink(missing_ok=True)
    return len(dropped)
