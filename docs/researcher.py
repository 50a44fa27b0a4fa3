# %% [markdown]
# # A reranker of one's own against those that ship
# A researcher's session: the same shortlists for every method, ranks of the true tile, intervals by location.
# `TOWN_BLOCKS` and `QUERIES` set the size. No model is asked here: the methods compared see map facts or nothing.

# %%
import asyncio
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.ledger import active
from agent.rerankers import Kit, Reranker, check_permutation, create
from agent.rerankers.base import ranking, reorder_judged
from agent.shortlist import shortlist
from eval.bootstrap import bootstrap_mean
from eval.protocol import LocatedQuery, read_queries, truth
from finetune.calibrate_queries import write_queries
from prompts.claims import extract_claims
from retriever.build import build_gallery
from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.retrieve import DEFAULT_ENCODER, Retriever, build_index, index_folder
from retriever.town import write_town
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

OUT = Path(os.environ.get("OUT", "out/researcher"))
BLOCKS, QUERIES, K = int(os.environ.get("TOWN_BLOCKS", "5")), int(os.environ.get("QUERIES", "40")), 10
OUT.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## A town that nothing was trained on, and places in it that are known

# %%
folder = OUT / f"gallery-3005-{BLOCKS}"
if not folder.exists():
    town = write_town(OUT / "town.osm", seed=3005, blocks=BLOCKS)
    build_gallery(folder, osm=town, gallery_id="town-3005")
    build_index(Gallery.open(folder), Encoder.load(DEFAULT_ENCODER), index_folder(folder, DEFAULT_ENCODER))
gallery, retriever = Gallery.open(folder), Retriever.open(folder)
write_queries(gallery, OUT / "queries.jsonl", n=QUERIES, seed=1, area="town-3005")
queries = read_queries(OUT / "queries.jsonl")
known = truth(gallery, queries)
target = [gallery.ids[known.pool[row, column]] for row, column in enumerate(known.target)]


# %% [markdown]
# ## A method: claimed kinds that few of the shortlisted tiles have count more


# %%
class Rarity:
    """As in docs/rerankers.md; here with its types."""

    name = "rarity"

    def __init__(self, kit: Kit) -> None:
        """Needs no model."""

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], g: Gallery
    ) -> Ranking:
        wanted = {c.value for c in active(claims) if c.kind == "object" and c.polarity}
        held = {c.tile_id: wanted & {f.kind for f in g.facts(c.tile_id) or ()} for c in candidates}
        tiles_with = Counter(kind for kinds in held.values() for kind in kinds)
        worth = {t: sum(math.log(1 + len(held) / tiles_with[k]) for k in sorted(kinds)) for t, kinds in held.items()}
        found = {
            t: Judgement(tile_id=t, verdict="match" if w > 0 else "cannot_tell", score=w, score_kind="rarity")
            for t, w in worth.items()
        }
        return ranking(query, self.name, reorder_judged(candidates, worth), found, Usage())


# %% [markdown]
# ## The same shortlists for all


# %%
def shortlisted(located: LocatedQuery) -> tuple[Query, list[Claim], Sequence[Candidate]]:
    query = located.query
    claims = extract_claims(query.text, lang=query.lang)
    return query, claims, shortlist(retriever, gallery, query, claims, k=K).candidates


given = [shortlisted(located) for located in queries]
reach = np.mean([true in {c.tile_id for c in cs} for true, (_, _, cs) in zip(target, given, strict=True)])
print(f"{len(queries)} descriptions, {len(gallery)} tiles; the true tile is among the first {K} for {reach:.0%}")


async def reciprocal_ranks(method: Any) -> list[float]:
    """1 / rank of the true tile; 0 where the shortlist does not hold it."""
    found = []
    for true, (query, claims, candidates) in zip(target, given, strict=True):
        answer = await method.rerank(query, claims, candidates, gallery)
        check_permutation(answer, candidates)
        order = [j.tile_id for j in answer.judgements]
        found.append(1 / (1 + order.index(true)) if true in order else 0.0)
    return found


# %% [markdown]
# ## Controls first: what a method must beat, and what none can
# `shuffle` is luck, `identity` the retriever, `oracle` geometry with all of the map.

# %%
methods: list[Reranker] = [create(name) for name in ("shuffle", "identity", "oracle")]
print("\n| method | MRR over the shortlist | 95 % |\n| --- | --- | --- |")
for method in [*methods, Rarity(Kit())]:
    interval = bootstrap_mean(np.array(asyncio.run(reciprocal_ranks(method))), known.clusters)
    print(f"| {method.name} | {interval.value:.3f} | {interval.low:.3f} to {interval.high:.3f} |")
