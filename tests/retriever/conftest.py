"""A small map and a quick painter for tests that build galleries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from osm_samples import hamlet
from PIL import Image

from retriever.painters import MapPainter


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return hamlet().write(tmp_path / "hamlet.osm")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Counts drawings, and draws quickly: a picture that depends on the facts only."""
    calls: list[Any] = []

    def paint(self: MapPainter, cell: Any, facts: Any) -> Image.Image:
        calls.append(cell)
        return Image.new("RGB", (self.px, self.px), (len(facts) % 256, len(str(facts)) % 256, 0))

    monkeypatch.setattr(MapPainter, "paint", paint)
    return calls
