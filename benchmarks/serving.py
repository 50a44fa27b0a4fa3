"""What judging costs: one-token scores and whole explanations, from the server and from transformers, side by side.

    python benchmarks/serving.py --tiles 12 --explain 6 --at-once 1 4 16 --out runs/serving

Tiles of a generated town, the shipped judge, a described place's claims turned round for every row, so that no question
is asked twice of one server and only the tile's part of a prompt can be shared. Rows: the server with and without
prefix caching, transformers' ``generate`` one by one and in batches. Wall time depends on what else runs; CPU time per
answer much less. The table is read from what is written to ``serving.json`` in ``--out``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from PIL import Image
from serving_parts import Answer, Meter, Questions, Row, err, measured, questions_of, ratios, show

from agent.judge import tile_png
from agent.serving import ModelServer
from agent.serving_bundle import JudgeBundle
from prompts.clients.base import ChatClient, ChatReply, ChatRequest, ImagePart
from prompts.clients.local import LocalModel
from prompts.clients.streaming import stream
from prompts.listing import parse_listing
from retriever.errors import SightlineError


async def ask(client: ChatClient, request: ChatRequest) -> Answer:
    """One question; free text is streamed. The clock starts when it is sent, not while it waits for its turn."""
    began, first, reply = time.perf_counter(), None, None
    try:
        async with aclosing(stream(client, request)) as pieces:
            async for piece in pieces:
                first = first or time.perf_counter() - began
                reply = piece if isinstance(piece, ChatReply) else reply
    except SightlineError as error:
        return Answer(time.perf_counter() - began, error=str(error))
    assert reply is not None
    shown = None if request.choices else first
    return Answer(time.perf_counter() - began, reply.completion_tokens, shown, reply.text)


async def ask_all(client: ChatClient, requests: Sequence[ChatRequest], at_once: int) -> list[Answer]:
    gate = asyncio.Semaphore(at_once)

    async def one(request: ChatRequest) -> Answer:
        async with gate:
            return await ask(client, request)

    return await asyncio.gather(*(one(r) for r in requests))


def on_server(bundle: JudgeBundle, questions: Questions, args: argparse.Namespace, *, caching: bool) -> list[Row]:
    """One server's rows: first every tile is looked at, as a gallery's tiles are, then scored, then explained."""
    system = f"vLLM, prefix caching {'on' if caching else 'off'}"
    rows = []
    with ModelServer(bundle, prefix_caching=caching, say=partial(err.print, markup=False)) as server:
        meter = Meter(server.state.pid)
        # One client for all rows, so that none pays for asking which tokens the choices are.
        client = server.state.client(concurrency=max(2, *args.at_once))

        async def work(requests: Sequence[ChatRequest], at_once: int) -> list[Answer]:
            try:
                return await ask_all(client, requests, at_once)
            finally:
                await client.close()

        def run(task: str, requests: Sequence[ChatRequest], at_once: int) -> list[Answer]:
            row, answers = measured(meter, system, task, at_once, lambda: asyncio.run(work(requests, at_once)))
            rows.append(row)
            return answers

        asyncio.run(work(warm_up(questions), 2))
        looked = run("look", questions.looks(), max(args.at_once))
        questions.listings = questions.listings or [parse_listing(a.text).text() for a in looked]
        for turn, at_once in enumerate(args.at_once):
            run("score", questions.scores(turn), at_once)
            run("explain", questions.explanations(turn, args.explain), at_once)
    return rows


def warm_up(questions: Questions) -> list[ChatRequest]:
    """Questions about a grey tile: what is compiled or loaded at the first request is no cost of the others."""
    grey = Questions([ImagePart(png=tile_png(Image.new("RGB", (224, 224), (120, 120, 120))))], questions.claims)
    grey.listings = [""]
    return [grey.scores(0)[0], replace(grey.explanations(0, 1)[0], max_tokens=60, json_schema=None)]


def generated(model: LocalModel, requests: Sequence[ChatRequest]) -> list[Answer]:
    """One batch through ``generate``: a score is its first token, an explanation goes to the model's own end.

    Nothing holds these answers to the schema, so they may be longer or shorter than the server's.
    """
    import torch

    began = time.perf_counter()
    batch = model.inputs(list(requests))
    options = {"max_new_tokens": max(r.max_tokens for r in requests), "do_sample": False}
    with torch.inference_mode():
        out = model.model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
    pad = model.processor.tokenizer.pad_token_id
    took = time.perf_counter() - began
    return [Answer(took, int((row != pad).sum())) for row in out]


def in_batches(model: LocalModel, requests: Sequence[ChatRequest], size: int) -> list[Answer]:
    """All of them, ``size`` at a time."""
    starts = range(0, len(requests), size)
    return [answer for i in starts for answer in generated(model, requests[i : i + size])]


def in_process(bundle: JudgeBundle, questions: Questions, args: argparse.Namespace) -> list[Row]:
    """transformers' rows; whoever is in a batch waits for all of it."""
    err.print("loading the judge into this process")
    meter = Meter(os.getpid())
    model = LocalModel(bundle.base, bundle.adapter)
    generated(model, warm_up(questions)[:1])
    if not questions.listings:
        looked = [model.write(q, adapter=True, seconds=None).text for q in questions.looks()]
        questions.listings = [parse_listing(text).text() for text in looked]
    rows = []
    for turn, size in enumerate(args.at_once):
        system = "transformers generate, one by one" if size == 1 else f"transformers generate, batches of {size}"
        for task, requests in (
            ("score", questions.scores(turn)),
            ("explain", questions.explanations(turn, args.explain)),
        ):
            rows.append(measured(meter, system, task, size, partial(in_batches, model, requests, size))[0])
    return rows


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini-judge", help="a shipped model or a folder with base/ and adapter/")
    parser.add_argument("--tiles", type=int, default=48, help="tiles that are looked at and scored in each row")
    parser.add_argument("--explain", type=int, default=16, help="of these, how many are explained in each row")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seed", type=int, default=3050, help="of the generated town")
    parser.add_argument("--blocks", type=int, default=4, help="the town's blocks on a side")
    parser.add_argument("--only", choices=("vllm", "transformers"), help="leave the other out")
    parser.add_argument("--out", type=Path, default=Path("runs/serving"))
    args = parser.parse_args(arguments)
    if min(args.tiles, args.explain, *args.at_once) < 1:
        parser.error("--tiles, --explain and --at-once are at least 1")
    return args


def main() -> int:
    """Measure, write ``serving.json`` and print the table."""
    args = parse()
    bundle = JudgeBundle.find(args.model)
    questions = questions_of(args)
    rows: list[Row] = []
    if args.only != "transformers":
        rows += on_server(bundle, questions, args, caching=True) + on_server(bundle, questions, args, caching=False)
    if args.only != "vllm":
        rows += in_process(bundle, questions, args)
    lines = ratios(rows)
    record = {
        "model": bundle.judge_model,
        "options": {k: str(v) for k, v in vars(args).items()},
        "cores": os.cpu_count(),
        "rows": [asdict(r) for r in rows],
        "ratios": lines,
    }
    (args.out / "serving.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(rows, lines)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SightlineError as error:
        err.print(f"[bold red]serving:[/] {error}", soft_wrap=True)
        sys.exit(error.exit_code)
