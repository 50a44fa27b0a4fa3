"""Opening what the desk works on, and the demo's place in its town."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from agent import demo, opening
from agent.rerankers import Kit
from agent.settings import Settings
from retriever.errors import ServerUnavailable, SightlineError
from retriever.geo import distance_m


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("SIGHTLINE_REQUIRE_VLLM", raising=False)
    return Settings(data_dir=tmp_path / "data")


def test_backend_none_is_no_judge_and_says_so(settings: Settings) -> None:
    bench = opening.open_bench(settings.model_copy(update={"backend": "none"}), say=print)
    assert bench.judge is None
    assert "backend none" in bench.why


def test_a_server_that_is_not_there_is_a_reason_and_not_an_error(settings: Settings) -> None:
    bench = opening.open_bench(settings.model_copy(update={"server": "http://127.0.0.1:9/v1"}), say=print)
    assert bench.judge is None
    assert "127.0.0.1:9" in bench.why


def test_where_vllm_is_required_no_judge_is_an_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_REQUIRE_VLLM", "1")
    with pytest.raises(ServerUnavailable):
        opening.open_bench(settings.model_copy(update={"server": "http://127.0.0.1:9/v1"}), say=print)


def test_threads_are_kept_where_only_their_owner_can_read_them(settings: Settings) -> None:
    assert settings.database().parent.stat().st_mode & 0o077 == 0


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_TOP", "7")
    monkeypatch.setenv("SIGHTLINE_BACKEND", "none")
    assert (Settings().top, Settings().backend, Settings(top=2).top) == (7, "none", 2)


def test_a_query_image_is_kept_by_its_content(tmp_path: Path) -> None:
    Image.new("RGB", (5000, 100), "red").save(tmp_path / "a.jpg")
    view, sha, kept = opening.keep_image(f"map={tmp_path / 'a.jpg'}", tmp_path)
    assert (view, kept.name) == ("map", f"{sha}.png")
    assert max(Image.open(kept).size) <= 2048
    assert opening.keep_image(f"uav={tmp_path / 'a.jpg'}", tmp_path)[1] == sha


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (3000, 3000)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(SightlineError, match="cannot be read"):
        opening.keep_image(f"map={tmp_path / 'bomb.png'}", tmp_path)


def test_a_picture_of_another_format_or_of_too_many_pixels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png", format="BMP")
    with pytest.raises(SightlineError, match="PNG, JPEG or WebP"):
        opening.keep_image(f"map={tmp_path / 'a.png'}", tmp_path)
    Image.new("RGB", (40, 30)).save(tmp_path / "b.png")
    monkeypatch.setattr(opening, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(SightlineError, match="40 x 30 pixels"):
        opening.keep_image(f"map={tmp_path / 'b.png'}", tmp_path)


def test_a_picture_that_cannot_be_kept_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    store = tmp_path / "store"
    store.mkdir()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opening.os, "replace", full)
    with pytest.raises(SightlineError, match="No space left"):
        opening.keep_image(f"map={tmp_path / 'a.png'}", store)
    assert list(store.iterdir()) == []


def test_image_views_that_were_never_learned_are_named() -> None:
    assert opening.rendered_only(["map"]) is None
    assert "ground, uav" in str(opening.rendered_only(["uav", "map", "ground"]))


def room(backend: str, why: str = "libnuma is missing") -> Any:
    judge: Any = None if backend == "none" else object()
    context = SimpleNamespace(backend=backend, kit=Kit(judge=judge, why_no_judge=why))
    return SimpleNamespace(desk=SimpleNamespace(context=context))


def test_the_demo_insists_on_vllm_where_it_can_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "vllm_required", lambda: True)
    with pytest.raises(ServerUnavailable, match="libnuma is missing"):
        demo._insist(room("none"), settings)
    with pytest.raises(ServerUnavailable, match="answers from transformers"):
        demo._insist(room("transformers", why=""), settings)
    demo._insist(room("vllm"), settings)
    demo._insist(room("none"), settings.model_copy(update={"backend": "none"}))
    monkeypatch.setattr(demo, "vllm_required", lambda: False)
    demo._insist(room("transformers"), settings)


@pytest.mark.parametrize(
    ("backend", "asked"),
    [("none", {"backend": "none"}), ("url", {"server": "http://127.0.0.1:9/v1"}), ("transformers", {})],
)
def test_a_demo_that_must_use_vllm_lets_no_option_talk_it_out_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, backend: str, asked: dict[str, str]
) -> None:
    monkeypatch.setattr(demo, "vllm_required", lambda: False)
    chosen = settings.model_copy(update=asked)
    demo._insist(room(backend), chosen)
    monkeypatch.setenv("SIGHTLINE_REQUIRE_VLLM", "1")
    with pytest.raises(ServerUnavailable, match="SIGHTLINE_REQUIRE_VLLM is set"):
        demo._insist(room(backend), chosen)
    demo._insist(room("vllm"), chosen)


def test_the_demo_is_kept_in_the_repository_or_with_the_users_data(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.home(settings, None) == settings.data_dir / "demo"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "sightline"\n')
    assert demo.home(settings, None) == Path(".sightline/demo")
    assert demo.home(settings, tmp_path / "here") == tmp_path / "here"


@pytest.mark.slow
def test_what_the_demo_describes_stands_in_its_town(tmp_path: Path) -> None:
    from retriever.town import write_town

    text = write_town(tmp_path / "town.osm", seed=demo.SEED, blocks=demo.BLOCKS).read_text(encoding="utf-8")
    node = next(n for n in re.findall(r"<node .*?</node>", text, re.DOTALL) if "Evening Compass" in n)
    lat, lon = (float(re.search(rf'{k}="([^"]+)"', node)[1]) for k in ("lat", "lon"))  # type: ignore[index]
    assert distance_m(*demo.PLACE, lat, lon) < 60
