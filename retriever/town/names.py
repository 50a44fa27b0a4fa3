"""Fictional names in English and Chinese, none given twice in a town unless it is a chain's."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Name = tuple[str, str]
"""English, Chinese."""


@cache
def words() -> dict[str, list[Name]]:
    table: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))
    return {key: [(str(en), str(zh)) for en, zh in rows] for key, rows in table.items()}


class Names:
    """Draws names by its own random numbers; ``plain`` says which language the plain ``name`` tag is in."""

    def __init__(self, rng: random.Random, plain: str) -> None:
        self.rng, self.plain = rng, plain
        self._given: set[str] = set()

    def pick(self, group: str) -> Name:
        return self.rng.choice(words()[group])

    def proper(self) -> Name:
        """A made-up proper name."""
        first, last = self.pick("first"), self.pick("last")
        return first[0] + last[0], first[1] + last[1]

    def sign(self) -> Name:
        """An adjective and a thing, a single thing with a proper name, or a proper name alone."""
        draw = self.rng.random()
        if draw < 0.55:
            adjective, thing = self.pick("adjective"), self.pick("thing")
            return f"{adjective[0]} {thing[0]}", adjective[1] + thing[1]
        if draw < 0.75:
            proper, thing = self.proper(), self.pick("thing")
            return f"{proper[0]} {thing[0]}", proper[1] + thing[1]
        return self.proper()

    def unique(self, ending: Name | None = None, *, sign: bool = False) -> Name:
        """A name that this town does not have yet, with a generic part at its end."""
        for _ in range(200):
            en, zh = self.sign() if sign else self.proper() if self.rng.random() < 0.6 else self.pick("thing")
            if ending is not None:
                en, zh = f"{en} {ending[0]}", zh + ending[1]
            if en not in self._given and zh not in self._given:
                self._given.update((en, zh))
                return en, zh
        # A very large town uses the short names up; two joined ones are as good.
        (en, zh), (en2, zh2) = self.proper(), self.sign()
        name = (f"{en} {en2} {ending[0]}", zh + zh2 + ending[1]) if ending is not None else (f"{en} {en2}", zh + zh2)
        self._given.update(name)
        return name

    def of_group(self, group: str) -> Name:
        return self.unique(self.pick(group))

    def tags(self, name: Name) -> dict[str, str]:
        plain = name[0] if self.plain == "en" else name[1]
        return {"name": plain, "name:en": name[0], "name:zh": name[1]}
