"""The encoder's training commands. torch and pandas are imported only when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

AREAS = Path(__file__).with_name("areas.yaml")
MINI = Path(__file__).parent / "recipes" / "sightline-mini.yaml"
BUNDLE = Path("retriever/models/sightline-mini")

RecipeFile = Annotated[Path, typer.Option("--recipe", help="YAML: model, vocabulary, stages.")]
DataFolder = Annotated[Path, typer.Option("--data", help="Folder of tiles and texts.")]
RunFolder = Annotated[Path, typer.Option("--out", help="Folder of the run: log, tokenizer, checkpoints.")]


def tiles(
    osm: Annotated[Path, typer.Option(help="Folder of map extracts.")],
    out: Annotated[Path, typer.Option(help="Folder to write; finished areas in it are kept.")],
    areas: Annotated[Path, typer.Option(help="YAML: which extracts and towns, how many tiles of each.")] = AREAS,
    processes: Annotated[int, typer.Option(help="How many areas are drawn at once.", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="Where the random tiles lie.")] = 0,
) -> None:
    """Cut and draw training and validation tiles."""
    import yaml

    from finetune.encoder.tiles import build_tiles, jobs

    plan: dict[str, Any] = yaml.safe_load(areas.read_text(encoding="utf-8"))
    absent = [n for split in ("train", "validation") for n in plan.get(split, {}) if not (osm / n).exists()]
    for name in absent:
        typer.echo(f"{name} is not in {osm}: left out", err=True)
    table = build_tiles(jobs(plan, osm, out, seed), out, processes=processes)
    typer.echo(table.groupby(["split", "area"]).size().to_string())


def texts(
    data: DataFolder,
    shards: Annotated[int, typer.Option(help="Descriptions of each training tile.", min=1)] = 8,
    processes: Annotated[int, typer.Option(min=1)] = 2,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Describe every tile: so many times for training, three times for validation."""
    from finetune.encoder.texts import build_texts

    build_texts(data, "validation", range(min(3, shards)), processes=processes, seed=seed)
    build_texts(data, "train", range(shards), processes=processes, seed=seed)


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of tiles and texts.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Several folders of training tiles and texts as one."""
    from finetune.encoder.merge import merge_data

    table = merge_data(folders, out)
    typer.echo(table.groupby(["split", "area"]).size().to_string())


def sights(
    osm: Annotated[Path, typer.Option(help="Folder of the map extracts that the views were rendered from.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    train: Annotated[list[Path], typer.Option(help="Folder of rendered sets to train on; may be repeated.")],
    validation: Annotated[list[Path], typer.Option(help="The same, to validate with.")],
    recipe: RecipeFile = MINI,
) -> None:
    """Rendered views (sightline data views) as the encoder sees them, with what the map has in each."""
    from finetune.encoder.sights import build_sights, source_of
    from finetune.encoder.train import read_recipe

    vision = read_recipe(recipe)["config"]["vision_cfg"]
    folders = [
        (f, source_of(f, osm), split) for split, fs in (("train", train), ("validation", validation)) for f in fs
    ]
    table = build_sights(folders, out, cells=vision["image_size"] // vision["patch_size"])
    typer.echo(table.groupby(["split", "area"]).size().to_string())


def encoder(
    data: DataFolder,
    out: RunFolder,
    recipe: RecipeFile = MINI,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes what torch takes.", min=0)] = 0,
    start: Annotated[Path | None, typer.Option(help="Folder of an earlier run to go on from.")] = None,
    sights: Annotated[Path | None, typer.Option(help="Folder of rendered views, where the recipe uses them.")] = None,
) -> None:
    """Train a dual encoder. Stop it at any time: the same command goes on from its last checkpoint."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from finetune.encoder.train import prepare, read_recipe, set_threads

    set_threads(threads)
    trainer = prepare(read_recipe(recipe), data, out, start=start, sights=sights)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        tasks = {s.name: bar.add_task(s.name, total=s.steps) for s in trainer.recipe.stages}
        trainer.run(
            lambda stage, step, loss: bar.update(
                tasks[stage.name], completed=step, description=f"{stage.name} {loss:.2f}"
            )
        )


def export_encoder(
    out: RunFolder,
    recipe: RecipeFile = MINI,
    to: Annotated[Path, typer.Option(help="The bundle's folder.")] = BUNDLE,
) -> None:
    """Write the best checkpoint of a run as a bundle."""
    from finetune.encoder.train import export, read_recipe

    metrics = export(read_recipe(recipe), out, recipe.name, to)
    typer.echo(f"{to}: " + ", ".join(f"{k} {v:.3f}" for k, v in metrics["mean"].items()))
