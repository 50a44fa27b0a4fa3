"""What several files of this room's tests stand on."""

from __future__ import annotations

import pytest
from arena_kit import LOAD, town_gallery

from eval.testset import FROZEN
from eval.testset.judging import in_order
from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.pair_frozen import FrozenSet, load_frozen
from retriever.pairs import Pair


@pytest.fixture
def one_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run opens the encoder; here it is the same one."""
    monkeypatch.setattr(Encoder, "load", staticmethod(LOAD))


@pytest.fixture(scope="session")
def arena_gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """A street grid with a pharmacy and a church, indexed with the shipped encoder."""
    return town_gallery(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="session")
def frozen() -> FrozenSet:
    """The frozen test set as it is shipped."""
    return load_frozen(FROZEN)


@pytest.fixture(scope="session")
def few(frozen: FrozenSet) -> tuple[Pair, ...]:
    """Whole places from every part of it."""
    return tuple(in_order(frozen.pairs, 400))
