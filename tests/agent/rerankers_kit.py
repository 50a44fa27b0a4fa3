"""Judges, an encoder and a shortlist for the tests of rerankers, and a ranking by any of them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from desk_fakes import FakeGallery, FakeJudge, claim
from late_fakes import tiny_encoder
from PIL import Image

from agent.rerankers import Kit, check_permutation, create
from prompts.clients.base import ChatReply, ChatRequest, ImagePart
from prompts.render import load_template
from retriever.encoder import Encoder
from retriever.errors import ServerUnavailable
from retriever.tokenizer import OpenClipTokenizer
from retriever.types import Candidate, Query, Ranking, Tile

COMPARING = ["pairwise", "setwise", "listwise"]
QUERY = Query(id="q1", text="a pharmacy and a cafe")
CLAIMS = [claim(1, "pharmacy"), claim(2, "cafe")]


class BrightClient:
    """A judge that likes the reddest tile: every answer follows from the pictures alone."""

    name = "fake:bright"

    def __init__(self, *, says: str | None = None, down: bool = False, prefers_first: float = 0.0) -> None:
        self.says, self.down, self.prefers_first = says, down, prefers_first
        self.asked: list[ChatRequest] = []

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked.append(request)
        if self.down:
            raise ServerUnavailable("the model server does not answer; start it again")
        red = [self._red(p) for m in request.messages for p in m.parts if isinstance(p, ImagePart)]
        if request.choices is None:
            letters = sorted(zip("ABCD", red, strict=False), key=lambda pair: -pair[1])
            return ChatReply(text=self.says or " > ".join(letter for letter, _ in letters), prompt_tokens=10)
        if "yes" in request.choices:
            p = 1 / (1 + math.exp(-red[0]))
            return ChatReply(text="yes", choice_logprobs={"yes": math.log(p), "no": math.log(1 - p)}, prompt_tokens=10)
        logits = [r + self.prefers_first * (i == 0) for i, r in enumerate(red)]
        total = math.log(sum(map(math.exp, logits)))
        said = {c: v - total for c, v in zip(request.choices, logits, strict=True)}
        return ChatReply(text=max(said, key=said.__getitem__), choice_logprobs=said, prompt_tokens=10)

    def _red(self, part: ImagePart) -> float:
        return float(np.asarray(Image.open(io.BytesIO(part.png)))[..., 0].mean()) / 20

    async def close(self) -> None:
        return None


class FullJudge(FakeJudge):
    """Scores, explains, looks and talks to its client."""

    template = load_template()

    def __init__(self, client: BrightClient | None = None, **told: Any) -> None:
        super().__init__(**told)
        self.client = client or BrightClient(down=self.down)

    async def look(self, tile: Tile, png: bytes) -> str:
        self.calls.append(("look", tile.id))
        if self.down:
            raise ServerUnavailable("the model server does not answer; start it again")
        return "; ".join(f"n {f.kind}" for f in tile.facts or ())


class WordCounter:
    """In the place of the trained cross-encoder: how many words of the text the listing has."""

    def predict(self, pairs: list[tuple[str, str]], **_: Any) -> np.ndarray:
        return np.array([sum(word in listing for word in text.split()) / 10 for text, listing in pairs])


class Letters:
    """What a tokenizer of open_clip's looks like, a token for each byte."""

    def __init__(self) -> None:
        self.byte_decoder = {chr(i): i for i in range(256)}
        self.decoder = {1 + i: chr(i) for i in range(98)}

    def clean_fn(self, text: str) -> str:
        return text

    def encode(self, text: str) -> list[int]:
        return [1 + b % 97 for b in "".join(text.split()).encode()]

    def __call__(self, texts: list[str], context: int) -> Any:
        import torch

        rows = [[0, *self.encode(t)[: context - 2], 99] for t in texts]
        return torch.tensor([row + [0] * (context - len(row)) for row in rows])


def encoder() -> Encoder:
    """The small encoder with a tokenizer that tells where its tokens stand, as heat maps ask."""
    small = tiny_encoder()
    return Encoder(small.model, OpenClipTokenizer(Letters(), 40, trim=True), small.preprocess, name="t", identity="t")


def shortlist(*ids: str) -> list[Candidate]:
    return [Candidate(tile_id=t, score=2.0 - 0.5 * i, rank=i) for i, t in enumerate(ids, 1)]


async def rank(
    name: str, gallery: FakeGallery, given: list[Candidate], *, judge: Any = None, query: Query = QUERY,
    claims: Any = None,
) -> Ranking:  # fmt: skip
    method = create(name, Kit(judge=judge or FullJudge(), encoder=encoder()))
    found = await method.rerank(query, CLAIMS if claims is None else claims, given, gallery)  # type: ignore[arg-type]
    return check_permutation(found, given)


def ids(ranking: Ranking) -> list[str]:
    return [j.tile_id for j in ranking.judgements]


def scores(ranking: Ranking) -> Mapping[str, float | None]:
    return {j.tile_id: j.score for j in ranking.judgements}
