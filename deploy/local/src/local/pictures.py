"""The letters as pictures, as a browser shows them: narrow and wide, light and dark, in both languages.

`python -m local.pictures docs/mails` (`just pictures`). Needs Chromium; as root on Debian it is installed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

_LOCALES: Final = ("ko", "en")
_WIDTHS: Final = {"narrow": (360, 4), "wide": (640, 3)}
"""How wide a letter is in CSS pixels, and how many of them stand in a row."""
_THEMES: Final = {"dark": 0, "light": 1}
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_PACKAGES: Final = ("chromium", "fonts-noto-cjk", "fonts-noto-color-emoji")
_GAP: Final = 16
_TIMEOUT: Final = 60
_SHEET: Final = """<!doctype html><meta charset="utf-8">
<style>
body {{ margin: 0; padding: {gap}px; width: {width}px }}
body {{ display: flex; flex-wrap: wrap; gap: {gap}px; align-items: start }}
iframe {{ border: 0; width: {letter}px; color-scheme: {theme} }}
html {{ background: #888; color-scheme: {theme} }}
</style>
{frames}
<script>
onload = () => {{
  for (const frame of document.querySelectorAll("iframe"))
    frame.height = frame.contentDocument.documentElement.scrollHeight
  document.body.dataset.height = document.body.getBoundingClientRect().height
}}
</script>"""


def main(arguments: Sequence[str]) -> None:
    """Write the pictures into a folder; says so and ends well where there is no browser."""
    out = Path(arguments[0])
    browser = find_browser() or _installed()
    if browser is None:
        print("skipped: there is no Chromium (install the package `chromium`), so no pictures were made")
        return
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        letters = Path(folder) / "letters"
        subprocess.run([sys.executable, "-m", "mailer", "preview", "all", "--out", letters], check=True)
        for locale in _LOCALES:
            for size, (width, row) in _WIDTHS.items():
                for theme in _THEMES:
                    sheet = Path(folder) / "sheet.html"
                    files = sorted(letters.glob(f"*.{locale}.html"))
                    sheet.write_text(_sheet(files, width, row, theme))
                    picture = out / f"{locale}-{size}-{theme}.png"
                    _take(
                        _command(browser, theme, Path(folder) / "profile"), sheet, picture, (width + _GAP) * row + _GAP
                    )
                    print(picture)


def _sheet(files: Sequence[Path], width: int, row: int, theme: str) -> str:
    frames = "\n".join(f'<iframe srcdoc="{escape(file.read_text())}"></iframe>' for file in files)
    return _SHEET.format(gap=_GAP, width=(width + _GAP) * row - _GAP, letter=width, theme=theme, frames=frames)


def _command(browser: str, theme: str, profile: Path) -> list[str]:
    return [
        browser, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
        f"--blink-settings=preferredColorScheme={_THEMES[theme]}", *(["--no-sandbox"] if os.getuid() == 0 else []),
    ]  # fmt: skip


def _take(command: Sequence[str], sheet: Path, picture: Path, width: int) -> None:
    """First ask how high the sheet is, then show it in a window of that height."""
    said = _run([*command, f"--window-size={width},1000", "--virtual-time-budget=2000", "--dump-dom", sheet.as_uri()])
    found = re.search(r'data-height="([\d.]+)"', said)
    if found is None:
        raise RuntimeError("the browser did not lay the letters out")
    height = int(float(found[1])) + 1
    _run([*command, f"--window-size={width},{height}", f"--screenshot={picture.absolute()}", sheet.as_uri()])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, check=True, timeout=_TIMEOUT, capture_output=True, text=True)
    return done.stdout


def find_browser() -> str | None:
    """The path of a Chromium, if there is one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def _installed() -> str | None:
    """Chromium from Debian, where we may install it."""
    installer = shutil.which("apt-get")
    if os.getuid() != 0 or installer is None:
        return None
    subprocess.run([installer, "install", "--yes", "--quiet", *_PACKAGES], stdout=subprocess.DEVNULL, check=False)
    return find_browser()


if __name__ == "__main__":
    main(sys.argv[1:])
