"""What several files of this room's tests stand on."""

from __future__ import annotations

import pytest
from arena_kit import LOAD, town_gallery

from retriever.encoder import Encoder
from retriever.gallery import Gallery


@pytest.fixture
def one_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run opens the encoder; here it is the same one."""
    monkeypatch.setattr(Encoder, "load", staticmethod(LOAD))


@pytest.fixture(scope="session")
def arena_gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """A street grid with a pharmacy and a church, indexed with the shipped encoder."""
    return town_gallery(tmp_path_factory.mktemp("town"))
