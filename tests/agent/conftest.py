"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from desk_fakes import FakeGallery, FakeRetriever

if TYPE_CHECKING:
    from fastapi.testclient import TestClient
    from page_kit import Desk
    from playwright.sync_api import Browser, Page


@pytest.fixture
def gallery(tmp_path: Path) -> FakeGallery:
    folder = tmp_path / "toy"
    folder.mkdir()
    return FakeGallery(folder)


@pytest.fixture
def retriever(gallery: FakeGallery) -> FakeRetriever:
    return FakeRetriever(gallery)


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("town")


@pytest.fixture(scope="module")
def desk(page_folder: Path) -> Iterator[Desk]:
    """The analyst's page, served."""
    from page_kit import serving

    yield from serving(page_folder, page_folder / "data")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from retriever.pages import driver

    with driver.chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, desk: Desk) -> Iterator[Page]:
    """The analyst's page, opened, with a judge that is well."""
    from page_kit import opened

    desk.mood("")
    page = opened(browser, desk)
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The API over a town, asked as a program would."""
    from api_kit import app_of
    from fastapi.testclient import TestClient

    with TestClient(app_of(tmp_path_factory.mktemp("api"))) as opened:
        yield opened


@pytest.fixture
def quick_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Chinese font costs a second for every PDF, and few tests look at one."""
    from agent.casefile import pdf

    monkeypatch.setattr(pdf, "chinese_font", lambda: None)


@pytest.fixture
def case_path(tmp_path: Path) -> Path:
    """The case file of a conversation about a town."""
    from case_kit import town_case

    path = tmp_path / "case.zip"
    path.write_bytes(town_case())
    return path


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for one test alone."""
    folder = tmp_path / "own"
    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(folder))
    return folder
