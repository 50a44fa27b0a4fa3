"""Phrase templates: ``[this|that]`` picks one, ``<slot>`` is filled in; both nest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

Node = str | tuple[str, Any]


def parse(template: str) -> tuple[Node, ...]:
    """The template as a tree: literals, ``("slot", name)`` and ``("pick", (options...))``.

    Raises ``ValueError`` where a bracket is not closed.
    """
    nodes, end = _sequence(template, 0, "")
    if end != len(template):
        raise ValueError(f"stray {template[end]!r} in the phrase {template!r}")
    return nodes


def _sequence(text: str, at: int, stops: str) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    literal = ""
    while at < len(text) and text[at] not in stops:
        if text[at] == "]":
            break
        if text[at] in "[<":
            if literal:
                nodes.append(literal)
                literal = ""
            node, at = _pick(text, at + 1) if text[at] == "[" else _slot(text, at + 1)
            nodes.append(node)
        else:
            literal += text[at]
            at += 1
    if literal:
        nodes.append(literal)
    return tuple(nodes), at


def _pick(text: str, at: int) -> tuple[Node, int]:
    options = []
    while True:
        option, at = _sequence(text, at, "|]")
        options.append(option)
        if at >= len(text):
            raise ValueError(f"a [ is not closed in the phrase {text!r}")
        if text[at] == "]":
            return ("pick", tuple(options)), at + 1
        at += 1


def _slot(text: str, at: int) -> tuple[Node, int]:
    end = text.find(">", at)
    if end < 0:
        raise ValueError(f"a < is not closed in the phrase {text!r}")
    return ("slot", text[at:end]), end + 1


def expand(nodes: tuple[Node, ...], rng: Random, slots: Mapping[str, str]) -> str:
    """One wording. Raises ``KeyError`` for a slot that is not given."""
    out = []
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        elif node[0] == "slot":
            out.append(slots[node[1]])
        else:
            out.append(expand(node[1][int(rng.random() * len(node[1]))], rng, slots))
    return "".join(out)


class Bank:
    """A language's phrases: ``bank.say("frames.plain", rng, np=..., pos=...)``."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._lists: dict[str, list[tuple[Node, ...]]] = {}
        self.words: Mapping[str, Any] = data.get("words", {})
        self._read("", {k: v for k, v in data.items() if k != "words"})

    def _read(self, path: str, data: Mapping[str, Any]) -> None:
        for key, value in data.items():
            name = f"{path}.{key}" if path else str(key)
            if isinstance(value, Mapping):
                self._read(name, value)
            elif isinstance(value[0], list):
                self._read(name, {str(i): item for i, item in enumerate(value)})
            else:
                self._lists[name] = [parse(str(item)) for item in value]

    def __contains__(self, name: str) -> bool:
        return name in self._lists

    def say(self, key: str, rng: Random, /, **slots: str) -> str:
        """One wording of one template of the list ``key``; slots that a template does not use are ignored."""
        options = self._lists[key]
        return expand(options[int(rng.random() * len(options))], rng, slots)


@cache
def bank(lang: str) -> Bank:
    """The phrases of ``en`` or ``zh``."""
    path = Path(__file__).with_name(f"phrases_{lang}.yaml")
    return Bank(yaml.safe_load(path.read_text(encoding="utf-8")))
