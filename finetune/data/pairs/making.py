"""From witnesses to pairs: one match and one no-match each, kinds of negatives kept in balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from finetune.data.pairs.explaining import explain_pair, wrong_reason
from finetune.data.pairs.picking import Tiles
from finetune.data.pairs.texts import counterfactual_text
from finetune.data.pairs.tiles import counterfactual_tile
from finetune.data.pairs.witnesses import Witness
from retriever.oracle import FactIndex, check_all
from retriever.pairs import (
    NEGATIVES,
    Change,
    Label,
    Negative,
    Pair,
    PairQuery,
    PairView,
    ShownTile,
    facts_hash,
)
from retriever.types import Evidence, Fact

OTHER_MATCH = 0.25
"""Share of matches that show another matching tile than the one with the nearest centre."""


@dataclass
class Maker:
    """Makes the pairs of one gallery."""

    tiles: Tiles
    seed: int
    prefix: str
    view: PairView = "text"
    used: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How often each (source, language, kind of negative) was made."""

    def pairs(self, groups: Sequence[Sequence[Witness]]) -> Iterator[Pair]:
        """A match and a no-match for every witness. Those of one group stand at one place and share tiles."""
        for number, group in enumerate(groups):
            yield from self.pairs_of(group, number)

    def pairs_of(self, group: Sequence[Witness], number: int) -> Iterator[Pair]:
        """The pairs of one place, which is the ``number``-th."""
        for witness in group:
            no_match = self._no_match(witness, number)
            if no_match is not None:
                yield self._match(witness, number)
                yield no_match

    def _id(self, number: int, witness: Witness, label: Label) -> str:
        stem = witness.origin or f"{self.prefix}-{number:04d}"
        lang = f"-{witness.lang}" if self.view == "text" else ""
        return f"{stem}{lang}-{'m' if label == 'match' else 'n'}"

    def _match(self, witness: Witness, number: int) -> Pair:
        fitting = self.tiles.matching(witness.lat, witness.lon)
        rng = Random(f"match {self.seed} {witness.place} {number}")
        shown = rng.choice(fitting[1:]) if len(fitting) > 1 and rng.random() < OTHER_MATCH else fitting[0]
        return self._pair(witness, shown, "match", number)

    def _no_match(self, witness: Witness, number: int) -> Pair | None:
        source = "hand" if witness.origin else "generated"
        rng = Random(f"kinds {self.seed} {witness.place} {number}")
        usual = rng.sample(NEGATIVES, len(NEGATIVES))
        for kind in sorted(usual, key=lambda k: self.used[source, witness.lang, k]):
            if kind == "counterfactual_text" and (witness.origin or self.view != "text"):
                continue
            made = self._negative(kind, witness, number)
            if made is not None:
                self.used[source, witness.lang, kind] += 1
                return made
        return None

    def _negative(self, kind: Negative, witness: Witness, number: int) -> Pair | None:
        rng = Random(f"{kind} {self.seed} {witness.place} {number}")
        if kind == "counterfactual_text":
            index = self.tiles.index(witness.true)
            edited = counterfactual_text(
                witness.text, witness.lang, witness.claims, index, rng, heading=witness.heading
            )
            if edited is None:
                return None
            text, claims, change = edited
            other = replace(witness, text=text, claims=claims)
            return self._pair(other, witness.true, "no_match", number, negative=kind, changed=change)
        if kind == "counterfactual_tile":
            if self.tiles.gallery.view != "map":
                return None
            facts = self.tiles.gallery.facts(witness.true) or ()
            redrawn = counterfactual_tile(facts, witness.claims, size_m=self.tiles.gallery.size_m, rng=rng)
            if redrawn is None:
                return None
            return self._pair(
                witness, witness.true, "no_match", number, negative=kind, changed=redrawn[1], facts=redrawn[0]
            )
        for tile_id in self.tiles.wrong(kind, witness.true, witness.lat, witness.lon, rng):
            evidence = check_all(witness.claims, self.tiles.index(tile_id))
            # A wrong tile that bears out every word is no error of whoever takes it for the place.
            if any(e.stance != "supports" for e in evidence):
                return self._pair(witness, tile_id, "no_match", number, negative=kind)
        return None

    def _pair(
        self,
        witness: Witness,
        tile_id: str,
        label: Label,
        number: int,
        *,
        negative: Negative | None = None,
        changed: Change | None = None,
        facts: Sequence[Fact] | None = None,
    ) -> Pair:
        gallery = self.tiles.gallery
        index = self.tiles.index(tile_id) if facts is None else FactIndex(facts, size_m=gallery.size_m)
        evidence = tuple(_plain(e) for e in check_all(witness.claims, index))
        id_ = self._id(number, witness, label)
        row, tile = gallery.row(tile_id), gallery.tile(tile_id)
        bounds = tuple(round(float(v), 7) for v in gallery.bounds[row])
        return Pair(
            id=id_,
            area=gallery.id,
            place=f"{gallery.id}:{witness.place}",
            lat=round(witness.lat, 7),
            lon=round(witness.lon, 7),
            query=PairQuery(
                view="text",
                lang=witness.lang,
                text=witness.text,
                named=witness.named,
                source="hand" if witness.origin else "generated",
                origin=witness.origin,
            ),
            tile=ShownTile(
                gallery=gallery.id,
                id=tile_id,
                lat=round(tile.lat, 7),
                lon=round(tile.lon, 7),
                bounds=bounds,  # type: ignore[arg-type]
                size_m=gallery.size_m,
                facts_sha256=facts_hash(tile.facts if facts is None else facts),
                change=changed if facts is not None else None,
            ),
            label=label,
            negative=negative,
            changed=changed,
            claims=witness.claims,
            evidence=evidence,
            explanation=explain_pair(witness.claims, evidence, label=label, view=self.view, seed=id_),
            wrong_reason=wrong_reason(witness.claims, evidence, label=label, view=self.view, seed=id_),
        )


def _plain(evidence: Evidence) -> Evidence:
    """Boxes to a thousandth of the tile: 12 cm."""
    region = evidence.region and tuple(round(v, 3) for v in evidence.region)
    return replace(evidence, region=region)  # type: ignore[arg-type]
