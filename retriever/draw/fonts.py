"""The fonts of labels: one that comes with matplotlib for Latin, Greek and Cyrillic, and a system font for Chinese,
Japanese and Korean where one is found."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageFont

CJK_NAMES = (
    "NotoSansCJK-Regular", "NotoSansCJKsc-Regular", "NotoSansSC", "NotoSansCJK", "SourceHanSansSC", "SourceHanSansCN",
    "SourceHanSans", "wqy-microhei", "wqy-zenhei", "DroidSansFallback", "uming", "ukai", "PingFang",
    "Hiragino Sans GB", "STHeiti", "msyh", "simsun", "Arial Unicode",
)  # fmt: skip
"""Beginnings of file names, the preferred first."""

CJK_FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts", "/System/Library/Fonts",
    "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip


@dataclass(frozen=True)
class Fonts:
    """The font files that a drawing uses; hashable, so that drawings can be cached by it."""

    latin: Path
    cjk: Path | None = None

    @staticmethod
    @cache
    def find() -> Fonts:
        """The fonts of this machine; ``$SIGHTLINE_CJK_FONT`` names a file to use instead of searching."""
        named = os.environ.get("SIGHTLINE_CJK_FONT")
        found = Path(named) if named else _search()
        return Fonts(_latin(), found if found is not None and _opens(found) else None)

    @staticmethod
    @cache
    def none_cjk() -> Fonts:
        """Only the font that comes with the package: pictures that are the same on every machine."""
        return Fonts(_latin())

    def record(self) -> dict[str, str]:
        """For a manifest: file name and sha256 by script, or ``none`` where a script has no font."""
        return {"latin": _stamp(self.latin), "cjk": "none" if self.cjk is None else _stamp(self.cjk)}

    def covers(self, text: str) -> bool:
        """Whether every character can be drawn (scripts that need shaping are left out)."""
        return bool(text.strip()) and all(_is_latin(c) or (self.cjk is not None and is_cjk(c)) for c in text)

    def face(self, text: str, size: int) -> ImageFont.FreeTypeFont:
        """The font for a text: one that holds all of it."""
        path = self.cjk if self.cjk is not None and any(is_cjk(c) for c in text) else self.latin
        return _load(path, size)


def is_cjk(char: str) -> bool:
    code = ord(char)
    return 0x2E80 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7A3 or 0xF900 <= code <= 0xFAFF or 0xFF00 <= code <= 0xFFEF


def _is_latin(char: str) -> bool:
    code = ord(char)
    drawn = 0x20 <= code < 0x250 or 0x370 <= code < 0x530 or 0x1E00 <= code < 0x2000
    return drawn or 0x2000 <= code < 0x2070 or 0x20A0 <= code < 0x20C0 or code in (0x2116, 0x2122)


def _latin() -> Path:
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib, whose font the map labels use, is not installed")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


def _search() -> Path | None:
    files = [p for folder in CJK_FOLDERS for p in sorted(Path(folder).expanduser().rglob("*.tt[fc]"))]
    files += [p for folder in CJK_FOLDERS for p in sorted(Path(folder).expanduser().rglob("*.otf"))]
    for name in CJK_NAMES:
        for path in files:
            if path.name.lower().startswith(name.lower()):
                return path
    return None


def _opens(path: Path) -> bool:
    try:
        ImageFont.truetype(str(path), 12)
    except OSError:
        return False
    return True


@cache
def _load(path: Path, size: int) -> ImageFont.FreeTypeFont:
    # Basic layout: the other engine's version would decide where glyphs go.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _stamp(path: Path) -> str:
    return f"{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
