"""What several files of this room's tests stand on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from arena_kit import LOAD, town_gallery

from eval.testset import FROZEN
from eval.testset.judging import in_order
from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.pages import driver
from retriever.pair_frozen import FrozenSet, load_frozen
from retriever.pairs import Pair

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with driver.chromium() as opened:
        yield opened
