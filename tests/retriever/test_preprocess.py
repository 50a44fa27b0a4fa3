"""Pictures made ready faster than they once were come out equal to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from osm_samples import hamlet
from PIL import Image
from tiny_encoder import write_bundle

from retriever.build import build_gallery
from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.index_embed import embed_gallery, spare_ahead
from retriever.preprocess import BoxResize, shrink

PAIRS = np.stack(np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8)), axis=-1)
"""Every pair of bytes, [256, 256, 2]."""


def grey(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.repeat(pixels[:, :, None], 3, axis=2))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("across", [True, False])
def test_a_half_is_what_resizing_gives_for_every_pair_of_neighbours(across: bool) -> None:
    """A pixel is the rounded mean of two rounded means, so all pairs in each direction are all there is to try."""
    wide = PAIRS.reshape(256, 512).repeat(2, axis=0)
    picture = grey(wide if across else wide.T)
    expected = np.array(picture.resize((256, 256), Image.Resampling.BOX))
    np.testing.assert_array_equal(shrink(picture, 256), expected)
    assert len(np.unique(expected)) == 256


@pytest.mark.parametrize("size", [(448, 448), (224, 224), (447, 448), (448, 224), (896, 896), (300, 500), (60, 60)])
def test_pictures_of_any_size_are_what_resizing_gives(size: tuple[int, int]) -> None:
    picture = noise(*size)
    expected = np.array(picture.resize((224, 224), Image.Resampling.BOX))
    found = shrink(picture, 224)
    np.testing.assert_array_equal(found, expected)
    found[0, 0, 0] = 7  # who asked for the pixels may write into them


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_other_modes_are_read_as_rgb(mode: str) -> None:
    picture = noise(64, 64).convert(mode)
    np.testing.assert_array_equal(shrink(picture, 32), shrink(picture.convert("RGB"), 32))


def test_numbers_in_place_are_those_of_the_formula_for_every_byte_and_channel() -> None:
    look = BoxResize(size=16, mean=[0.81, 0.8, 0.75], std=[0.19, 0.17, 0.19])
    bytes_ = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(np.stack([bytes_, bytes_.T, bytes_[::-1]], axis=-1))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.81, 0.8, 0.75], [0.19, 0.17, 0.19]))
    expected = (pixels.float() / 255.0 - mean) / std
    assert torch.equal(look(picture), expected)
    assert torch.equal(look.normalise(pixels), expected)
    room = torch.full((3, 3, 16, 16), torch.nan)
    look.fill(picture, room[1])
    assert torch.equal(room[1], expected)
    assert room[[0, 2]].isnan().all()


# --- galleries -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Encoder]:
    folder = tmp_path_factory.mktemp("place")
    gallery = build_gallery(folder / "g", osm=hamlet().write(folder / "a.osm"), px=64, gallery_id="hamlet")
    return gallery.path, Encoder.load(write_bundle(folder / "tiny"), device="cpu")


def one_by_one(gallery: Gallery, encoder: Encoder, ids: list[str]) -> np.ndarray:
    """Without threads and without memory that is used again."""
    return encoder.encode_pixels([encoder.preprocess(gallery.image(tile_id)) for tile_id in ids])


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_reading_ahead_changes_no_vector(place: tuple[Path, Encoder], ahead: int) -> None:
    gallery, encoder = Gallery.open(place[0]), place[1]
    parts = [gallery.ids[i : i + 7] for i in range(0, len(gallery), 7)]
    assert len(parts) > 6, "memory is to be used again"
    assert len(parts[-1]) < 7, "the last batch is to be short"
    expected = np.concatenate([one_by_one(gallery, encoder, part) for part in parts])
    found, _ = embed_gallery(gallery, encoder, batch=7, readers=2, ahead=ahead)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("threads", "device", "ahead"), [(1, "cpu", 2), (3, "cpu", 2), (4, "cpu", 0), (4, "cuda", 2)])
def test_nothing_is_read_ahead_where_the_model_takes_every_core(
    monkeypatch: pytest.MonkeyPatch, threads: int, device: str, ahead: int
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    encoder: Any = SimpleNamespace(device=torch.device(device))
    assert spare_ahead(encoder) == ahead


def test_a_batch_without_some_pictures_is_what_the_others_give(place: tuple[Path, Encoder], tmp_path: Path) -> None:
    """Whole batches without a picture and single ones; the row of another batch's picture is never taken for them."""
    shutil.copytree(place[0], tmp_path / "g")
    gallery, encoder = Gallery.open(tmp_path / "g"), place[1]
    bad = [*gallery.ids[8:12], gallery.ids[13], gallery.ids[-1]]
    for tile_id in bad:
        gallery.image_path(tile_id).write_bytes(b"no picture")
    found, skipped = embed_gallery(gallery, encoder, batch=4, ahead=1)
    assert list(skipped) == bad
    assert [i for i, row in zip(gallery.ids, found, strict=True) if not row.any()] == bad
    for start in range(0, len(gallery), 4):
        part = gallery.ids[start : start + 4]
        rows = [start + n for n, tile_id in enumerate(part) if tile_id not in bad]
        if rows:
            np.testing.assert_array_equal(found[rows], one_by_one(gallery, encoder, [gallery.ids[r] for r in rows]))


def test_any_other_preprocessing_is_used_as_it_is(place: tuple[Path, Encoder]) -> None:
    gallery, own = Gallery.open(place[0]), place[1]
    look = BoxResize(size=32, mean=[0.5] * 3, std=[0.25] * 3)
    encoder = Encoder(own.model, own.tokenizer, lambda image: look(image).flip(-1), name="turned", identity="turned")
    found, _ = embed_gallery(gallery, encoder, batch=4)
    np.testing.assert_array_equal(found[:4], one_by_one(gallery, encoder, gallery.ids[:4]))
    assert not np.allclose(found, embed_gallery(gallery, own, batch=4)[0])


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_a_picture_that_is_only_read_is_the_same_picture(
    place: tuple[Path, Encoder], tmp_path: Path, mode: str
) -> None:
    shutil.copytree(place[0], tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g")
    tile_id = gallery.ids[0]
    noise(64, 64).convert(mode).save(gallery.image_path(tile_id))
    opened, own = gallery.opened_image(tile_id), gallery.image(tile_id)
    assert opened.mode == own.mode == "RGB"
    assert opened.tobytes() == own.tobytes()
    assert type(own) is Image.Image
