"""Fixtures of the agent's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk_fakes import FakeGallery, FakeRetriever


@pytest.fixture
def gallery(tmp_path: Path) -> FakeGallery:
    folder = tmp_path / "toy"
    folder.mkdir()
    return FakeGallery(folder)


@pytest.fixture
def retriever(gallery: FakeGallery) -> FakeRetriever:
    return FakeRetriever(gallery)
