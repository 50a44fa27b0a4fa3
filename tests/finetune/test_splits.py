"""Splits by area: what lies too near is refused; what is in two splits is found, however it is disguised."""

from __future__ import annotations

import io
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from finetune.leaks import Item, Look, check_leaks, find_leaks, normalise_text
from finetune.splits import Area, SplitError, check_areas, cut, gap_m
from retriever.draw import draw_tile
from retriever.geo import Frame, distance_m
from retriever.types import Box, Fact

degrees = st.floats(0.001, 0.3)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    south, west = draw(st.floats(-70, 70)), draw(st.floats(-179.9, 179.5))
    return west, south, west + draw(degrees), south + draw(degrees)


def corners(box: Box, n: int = 5) -> list[tuple[float, float]]:
    """Points along the border, as latitude and longitude."""
    lat, lon = np.linspace(box[1], box[3], n), np.linspace(box[0], box[2], n)
    return [(a, b) for a in lat for b in lon]


@settings(max_examples=60, deadline=None)
@given(a=boxes(), east=st.floats(-0.6, 0.6), north=st.floats(-0.6, 0.6), width=degrees, height=degrees)
def test_the_gap_is_never_more_than_any_two_points_distance(
    a: Box, east: float, north: float, width: float, height: float
) -> None:
    b = (a[0] + east, a[1] + north, a[0] + east + width, a[1] + north + height)
    least = min(float(distance_m(*p, *q)) for p in corners(a) for q in corners(b))
    assert 0.0 <= gap_m(a, b) <= least * 1.0005 + 0.01
    assert gap_m(a, b) == pytest.approx(gap_m(b, a))
    apart = east > a[2] - a[0] + 0.01 or east + width < -0.01 or north > a[3] - a[1] + 0.01 or north + height < -0.01
    assert (gap_m(a, b) > 300) if apart else (gap_m(a, b) <= 1_200)


def test_the_gap_across_the_date_line_is_short() -> None:
    assert gap_m((179.99, 0, 180, 1), (-180, 0, -179.99, 1)) == 0.0
    assert gap_m((179.9, 0, 179.95, 1), (-179.95, 0, -179.9, 1)) == pytest.approx(0.1 * 111_195, rel=0.01)


def area(name: str, split: str, west: float, east: float) -> Area:
    return Area(name=name, split=split, bounds=(west, 50.0, east, 50.1))


def test_areas_of_two_splits_that_touch_overlap_or_lie_too_near_are_refused() -> None:
    near = [area("a", "train", 8.0, 8.1), area("b", "test", 8.101, 8.2)]
    check_areas(near, buffer_m=50)
    with pytest.raises(SplitError, match=r"a \(train\) and b \(test\): 71 m"):
        check_areas(near, buffer_m=200)
    for west in (8.1, 8.05):
        with pytest.raises(SplitError, match=": 0 m"):
            check_areas([near[0], area("b", "test", west, 8.2)], buffer_m=0)
    check_areas([near[0], area("b", "train", 8.05, 8.2)], buffer_m=500)


def test_areas_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SplitError, match="named 2 times"):
        check_areas([area("a", "train", 8, 8.1), area("a", "train", 9, 9.1)], buffer_m=1)
    with pytest.raises(SplitError, match="dev"):
        check_areas([area("a", "dev", 8, 8.1)], buffer_m=1)
    with pytest.raises(SplitError, match="buffer"):
        check_areas([], buffer_m=float("nan"))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), buffer=st.floats(0, 300), tall=st.booleans())
def test_strips_of_one_area_lie_the_buffer_apart(seed: int, buffer: float, tall: bool) -> None:
    rng, frame = Random(seed), Frame(lat=48.0, lon=11.0)
    at = [(rng.uniform(0, 3000), rng.uniform(0, 9000 if tall else 900)) for _ in range(150)]
    lat, lon = zip(*(frame.latlon(x, y) for x, y in at), strict=True)
    found = cut(lat, lon, {"train": 0.6, "validation": 0.2, "test": 0.2}, buffer_m=buffer)
    assert set(found) - {None} == {"train", "validation", "test"}
    for i, a in enumerate(found):
        for j, b in enumerate(found[:i]):
            if a and b and a != b:
                assert distance_m(lat[i], lon[i], lat[j], lon[j]) >= buffer * 0.999
    counts = {s: found.count(s) for s in ("train", "test")}
    assert counts["train"] > counts["test"]


def test_an_area_too_small_for_its_buffers_is_refused() -> None:
    with pytest.raises(SplitError, match="nothing is left of"):
        cut([48.0, 48.0001, 48.0002], [11.0, 11.0, 11.0], {"train": 0.5, "test": 0.5}, buffer_m=500)
    with pytest.raises(SplitError, match="shares"):
        cut([48.0], [11.0], {"train": 0.5, "test": 0.6}, buffer_m=5)


# --- leaks ----------------------------------------------------------------------------------------------------------


def facts(seed: int, n: int = 25) -> list[Fact]:
    rng = Random(seed)
    found = []
    for i in range(n):
        x, y, w, h = rng.random(), rng.random(), rng.uniform(0.03, 0.2), rng.uniform(0.03, 0.2)
        ring = ((x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y))
        found.append(
            Fact(osm_id=f"way/{i}", kind=rng.choice(("building", "park", "water")), shape="area", parts=(ring,))
        )
    return found


def tile(seed: int, n: int = 25, px: int = 224, form: str = "PNG", **options: object) -> bytes:
    picture = draw_tile(facts(seed, n), size_m=120, px=448).resize((px, px), Image.Resampling.BICUBIC)
    packed = io.BytesIO()
    picture.save(packed, form, **options)
    return packed.getvalue()


def kinds(items: Sequence[Item], buffer_m: float = 100) -> list[str]:
    return sorted(leak.kind for leak in find_leaks(items, buffer_m=buffer_m))


def test_the_same_picture_is_found_by_bytes_and_by_sight() -> None:
    first = Item(id="a", split="train", look=Look.of(tile(1)))
    assert kinds([first, Item(id="b", split="test", look=Look.of(tile(1)))]) == ["bytes"]
    for other in (tile(1, form="JPEG", quality=70), tile(1, px=160), tile(1, px=448, form="WEBP", quality=60)):
        assert kinds([first, Item(id="b", split="test", look=Look.of(other))]) == ["picture"]
    assert kinds([first, Item(id="b", split="train", look=Look.of(tile(1)))]) == []


def test_different_pictures_are_not_taken_for_one() -> None:
    looks = [Look.of(tile(seed)) for seed in range(20)]
    assert kinds([Item(id=str(i), split=("train", "test")[i % 2], look=look) for i, look in enumerate(looks)]) == []


def test_one_building_more_is_another_picture_and_plain_tiles_are_not_compared_by_sight() -> None:
    changed = facts(1)[:-6]
    packed = io.BytesIO()
    draw_tile(changed, size_m=120, px=224).save(packed, "PNG")
    a = Item(id="a", split="train", look=Look.of(tile(1)))
    assert kinds([a, Item(id="b", split="test", look=Look.of(packed.getvalue()))]) == []
    grey = [Image.new("RGB", (64, 64), (v, v, v)) for v in (200, 201)]
    looks = []
    for picture in grey:
        packed = io.BytesIO()
        picture.save(packed, "PNG")
        looks.append(Look.of(packed.getvalue()))
    assert (
        kinds([Item(id=str(i), split=s, look=k) for i, (s, k) in enumerate(zip(("train", "test"), looks, strict=True))])
        == []
    )


def test_the_banded_search_finds_what_comparing_all_finds() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(256) < 0.5
    items = []
    for number in range(60):
        bits = base.copy()
        bits[rng.choice(256, int(rng.integers(0, 40)), replace=False)] ^= True
        look = Look(sha256=str(number), bits=bits, grey=rng.normal(100, 30, (32, 32)).astype(np.float32) * 0 + ramp())
        items.append(Item(id=str(number), split="train" if number % 2 else "test", look=look))
    hit = {leak.b.split(" ")[0] for leak in find_leaks(items, buffer_m=1)}
    for number, item in enumerate(items):
        before = [i for i in items[:number] if i.split != item.split]
        assert (item.id in hit) == any(i.look.same(item.look) for i in before if i.look and item.look)


def ramp() -> np.ndarray:
    return np.tile(np.linspace(0, 255, 32, dtype=np.float32), (32, 1))


def test_the_same_place_is_found_within_the_buffer_also_at_the_date_line() -> None:
    pairs = [
        ((48.0, 11.0), (48.0005, 11.0), 56),
        ((0.0, 179.9999), (0.0, -179.9999), 22),
        ((0.0, 1.0), (0.0, 181.0), None),
    ]
    for (a, b), (c, d), metres in pairs:
        items = [Item(id="a", split="train", lat=a, lon=b), Item(id="b", split="test", lat=c, lon=d)]
        assert kinds(items, buffer_m=60) == (["place"] if metres else [])
        assert kinds(items, buffer_m=(metres or 10) - 5) == []


def test_the_same_text_is_found_whatever_its_punctuation() -> None:
    assert normalise_text("Café, on my LEFT!") == normalise_text("cafe on my left")
    assert normalise_text("左边 有一家咖啡馆。") == normalise_text("左边有一家咖啡馆")
    a = Item(id="a", split="train", text="A café is on my left.")
    assert kinds([a, Item(id="b", split="test", text="a CAFE is on my left")]) == ["text"]
    assert kinds([a, Item(id="b", split="test", text="A café is on my right.")]) == []


def test_leaks_fail_with_a_list_that_names_them() -> None:
    items = [Item(id=f"{s}{i}", split=s, text=f"text {i}") for s in ("train", "test") for i in range(30)]
    with pytest.raises(SplitError) as caught:
        check_leaks(items, buffer_m=10)
    said = str(caught.value)
    assert said.startswith("30 leaks between splits (30 by text)")
    assert "train0 (train) and test0 (test)" in said
    assert "and 10 more by text" in said
    check_leaks(items[:30], buffer_m=10)
