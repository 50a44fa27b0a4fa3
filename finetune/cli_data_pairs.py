"""``sightline data pairs`` and ``sightline data testset``: match and no-match pairs, and the frozen set of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from finetune.data.pairs.picking import Tiles
    from retriever.pairs import Pair

FROZEN = Path(__file__).resolve().parents[1] / "eval" / "testset" / "v1"
QUERIES = [
    Path(__file__).resolve().parents[1] / "benchmarks" / "queries" / f"{name}.jsonl"
    for name in ("first_numbers", "hand_written", "hand_written_2")
]
GALLERIES = Path("runs/testset/galleries")

testset_app = typer.Typer(name="testset", no_args_is_help=True, help="The frozen test set of explained pairs.")


def register(app: typer.Typer) -> None:
    """Add the commands to the group ``data``."""
    app.command("pairs")(pairs)
    app.add_typer(testset_app)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _data() -> Path | None:
    return Path(os.environ["SIGHTLINE_DATA"]) if os.environ.get("SIGHTLINE_DATA") else None


def pairs(
    gallery: Annotated[Path, typer.Argument(help="Gallery folder with map facts.")],
    out: Annotated[Path, typer.Option(help="JSONL to write; packed if it ends in .xz.")],
    places: Annotated[int, typer.Option(min=1, help="Places; each gives a match and a no-match per language.")] = 200,
    maps: Annotated[int, typer.Option(min=0, help="Places asked with a street map as well.")] = 0,
    views: Annotated[int, typer.Option(min=0, help="Places seen from ground, drone, all around; needs --osm.")] = 0,
    osm: Annotated[Path | None, typer.Option(help="The gallery's extract, to render views from.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses places, words and negatives.")] = 1000,
    wrong: Annotated[float, typer.Option(min=0, max=0.5, help="Share of details that the witness gets wrong.")] = 0.0,
    allow_test: Annotated[bool, typer.Option(help="Even where the frozen test set has its places.")] = False,
) -> None:
    """Match and no-match pairs with evidence, explanations and wrong reasons, from any gallery with map facts."""
    from finetune.data.pairs.checks import leaks, problems
    from finetune.data.pairs.making import Maker
    from finetune.data.pairs.maps import map_pairs
    from finetune.data.pairs.picking import Tiles
    from finetune.data.pairs.witnesses import generated
    from retriever.gallery import Gallery
    from retriever.pair_frozen import load_frozen
    from retriever.pairs import PairError, write_pairs

    tiles = Tiles(Gallery.open(gallery))
    if not any(tiles.gallery.facts(i) for i in tiles.gallery.ids[:50]):
        raise PairError(f"the gallery {gallery} has no map facts to take the truth from: build it with --osm")
    groups = generated(tiles, n=places, seed=seed, langs=("en", "zh"), wrong_share=wrong)
    made = list(Maker(tiles, seed, f"{tiles.gallery.id}-{seed}").pairs(groups))
    if maps:
        made += map_pairs(tiles, n=maps, seed=seed, prefix=f"{tiles.gallery.id}-{seed}")
    if views:
        made += _seen(tiles, osm, views, seed)
    if not made:
        raise PairError(f"no place of {gallery} gives a pair: nobody can stand there, or there is too little to say")
    if not allow_test:
        shared = leaks(load_frozen(FROZEN).pairs, ({"lat": p.lat, "lon": p.lon, "text": p.query.text} for p in made))
        if shared:
            raise PairError(
                f"{len(shared)} pairs share a place with the frozen test set ({shared[0]}): take another area"
            )
    if broken := problems(made):
        raise PairError(f"{len(broken)} pairs break their promise ({broken[0]}); this is a defect of the builder")
    sha256 = write_pairs(out, made)
    kinds = dict(sorted(Counter(p.negative or "match" for p in made).items()))
    typer.echo(json.dumps({"pairs": len(made), "kinds": kinds, "sha256": sha256, "file": str(out)}))


def _seen(tiles: Tiles, osm: Path | None, n: int, seed: int) -> list[Pair]:
    from finetune.data.pairs.views import view_pairs
    from finetune.views import Scene
    from retriever.draw import Fonts
    from retriever.pairs import PairError

    if osm is None:
        raise PairError("views are rendered from the map itself: give the gallery's extract with --osm")
    scene = Scene.from_osm(osm, fonts=Fonts.none_cjk())
    return list(view_pairs(tiles, scene, n=n, seed=seed, prefix=f"{tiles.gallery.id}-{seed}"))


@testset_app.command("build")
def build(
    out: Annotated[Path, typer.Option(help="Folder of the set.")] = FROZEN,
    galleries: Annotated[Path, typer.Option(help="Galleries, built where missing.")] = GALLERIES,
    queries: Annotated[list[Path] | None, typer.Option(help="Hand-written descriptions; the shipped ones.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; how many changes nothing.")] = 2,
) -> None:
    """Build the whole set again (without SIGHTLINE_DATA: its towns), the same bytes from the same sources."""
    from finetune.data.pairs.frozen import build as build_all

    manifest = build_all(out, galleries=galleries, data=_data(), queries=queries or QUERIES, say=_say, jobs=jobs)
    if _data() is None:
        _say("SIGHTLINE_DATA is not set: only the towns were built, the real areas stay as they are")
    typer.echo(json.dumps({k: manifest[k] for k in ("version", "sha256")}))


@testset_app.command("verify")
def verify(
    folder: Annotated[Path, typer.Option(help="Folder of the set.")] = FROZEN,
    rebuild: Annotated[int, typer.Option(min=0, help="Make this many towns again and compare their bytes.")] = 0,
    against: Annotated[
        list[Path] | None, typer.Option(help="Training sets (JSONL, parquet): no shared place or text.")
    ] = None,
    galleries: Annotated[Path, typer.Option(help="Galleries, built where missing.")] = GALLERIES,
) -> None:
    """Hashes, labels, evidence, balance; with --rebuild that the command gives these bytes; with --against no leak."""
    from finetune.data.pairs.checks import balance, leaks, problems, read_others
    from finetune.data.pairs.frozen import check_town
    from retriever.pair_frozen import load_frozen
    from retriever.pairs import PairError

    frozen = load_frozen(folder)
    found = problems(frozen.pairs)
    found += [f"{key}: {a} matches, {b} no-matches" for key, (a, b) in balance(frozen.pairs).items() if a != b]
    for path in against or []:
        _say(f"comparing with {path}")
        found += [f"{path}: {line}" for line in leaks(frozen.pairs, read_others(path))]
    for seed in frozen.town_seeds[:rebuild]:
        _say(f"making town {seed} again")
        found += check_town(folder, seed, galleries)
    if found:
        raise PairError(f"{len(found)} things are wrong with {folder}, first: {found[0]}")
    typer.echo(json.dumps({"pairs": len(frozen.pairs), "sha256": frozen.sha256, "towns_rebuilt": rebuild}))


@testset_app.command("render")
def render(
    out: Annotated[Path, typer.Option(help="Folder for pictures and index.jsonl.")],
    folder: Annotated[Path, typer.Option(help="Folder of the set.")] = FROZEN,
    area: Annotated[str, typer.Option(help="Only pairs of this area: london, town-3000 ...")] = "",
    view: Annotated[
        list[str] | None, typer.Option(help="Only pairs asked with this: map, uav ...; may repeat.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many pairs.")] = None,
    galleries: Annotated[Path, typer.Option(help="Galleries, built where missing.")] = GALLERIES,
    other_pixels: Annotated[
        bool, typer.Option(help="Take rendered views whose pixels are not those recorded.")
    ] = False,
) -> None:
    """Draw the tiles that pairs show and the pictures that they ask with, checked against their recorded hashes."""
    from finetune.data.pairs.rendering import render_pairs
    from retriever.pair_frozen import load_frozen

    wanted = [p for p in load_frozen(folder).pairs if not area or p.area == area]
    chosen = [p for p in wanted if not view or p.query.view in view][:limit]
    done = render_pairs(chosen, out, galleries=galleries, data=_data(), exact=not other_pixels)
    typer.echo(json.dumps({"pairs": len(chosen), "pictures": done, "folder": str(out)}))
