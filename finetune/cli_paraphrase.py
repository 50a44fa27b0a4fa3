"""``sightline data paraphrase``: descriptions said again by a chat endpoint, their claims held fixed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finetune.annotate.screen import err, paid, shown
from retriever.errors import SightlineError

if TYPE_CHECKING:
    from finetune.annotate.config import Config
    from finetune.annotate.desk import Desk, Planned


def register(app: typer.Typer) -> None:
    """Add the command to the group ``data``."""
    app.command("paraphrase")(paraphrase)


def paraphrase(
    file: Annotated[Path, typer.Argument(help="Descriptions as JSON lines with text, lang and claims.")],
    out: Annotated[Path, typer.Option(help="The file to write; what was paid for is kept beside it.")],
    endpoint: Annotated[str, typer.Option(help="Address of a chat API, ending in /v1.")] = "",
    model: Annotated[str, typer.Option(help="The model's name there.")] = "",
    config: Annotated[Path | None, typer.Option(help="In place of address and model: its part 'paraphraser'.")] = None,
    key_env: Annotated[str, typer.Option(help="Name of the environment variable with the key.")] = "",
    prompt_price: Annotated[float, typer.Option(min=0.0, help="Money for a million prompt tokens.")] = 0.0,
    answer_price: Annotated[float, typer.Option(min=0.0, help="Money for a million answer tokens.")] = 0.0,
    budget: Annotated[float | None, typer.Option(min=0.0, help="All that this file may ever cost.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other wordings.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked and spent, and ask nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Rewrite descriptions; a text that does not claim what its ledger says is refused and the original kept."""
    from finetune.data import paraphrase as stage

    if out.resolve() == file.resolve():
        raise SightlineError(f"{out} is the input; write to another file")
    prices = {"prompt": prompt_price, "completion": answer_price}
    settings = _settings(endpoint, model, config, key_env, prices, budget)
    sources = stage.read_sources(file)

    async def work(desk: Desk) -> dict[str, Any]:
        result: dict[str, Any] = await shown(
            len(sources), lambda tick: stage.run_paraphrase(sources, out, desk, seed=seed, done=tick)
        )
        return result

    async def plan(desk: Desk) -> list[Planned]:
        paraphraser = stage.Paraphraser(desk, seed=seed)
        return [call for source in sources for call in await paraphraser.plan(source)]

    paid(out.with_name(out.name + ".paid.sqlite"), settings, as_json, plan if dry_run else None, work)


def _settings(
    endpoint: str, model: str, config: Path | None, key_env: str, prices: dict[str, float], budget: float | None
) -> Config:
    import pydantic

    from finetune.annotate.config import Config, load_config

    if (config is None) == (not endpoint or not model):
        raise SightlineError("give either --endpoint and --model, or --config with the part 'paraphraser'")
    if config is not None:
        loaded = load_config(config)
        return loaded if budget is None else loaded.model_copy(update={"budget": budget})
    if not any(prices.values()):
        err.print("no prices are given (--prompt-price, --answer-price): money is not counted", markup=False)
    elif budget is None:
        raise SightlineError("with prices goes a budget: give --budget, and no more than that is spent")
    part = {"base_url": endpoint, "model": model, "key_env": key_env, "prices": prices}
    try:
        return Config.model_validate({"endpoints": {"paraphraser": part}, "budget": budget or 0.0})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise SightlineError(f"{first['loc'][-1]} is wrong: {first['msg']}") from None
