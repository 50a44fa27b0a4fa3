"""The judge on disk: a base model, an adapter on it, and golden answers; each named by what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retriever.errors import ModelError
from retriever.models import find_model, read_json

HASHED = ("*.safetensors", "*.json", "*.jinja", "*.txt")


@dataclass(frozen=True, kw_only=True)
class JudgeBundle:
    """Folders that were checked to hold what their names promise."""

    name: str
    base: Path
    adapter: Path | None
    golden: Path | None
    base_hash: str
    adapter_hash: str
    """Empty where there is no adapter."""
    beside: Mapping[str, Path] = field(default_factory=dict)
    """Other adapters of the base that a server offers next to the judge, by name."""

    @classmethod
    def find(
        cls,
        model: str | Path = "mini-judge",
        *,
        base: Path | None = None,
        adapter: Path | None = None,
        beside: Sequence[Path] = (),
    ) -> JudgeBundle:
        """A shipped or named bundle (``base/``, ``adapter/``, ``golden.json``), or base and adapter given apart.

        Raises ``ModelError`` if something is missing, or if the adapter was made for another base.
        """
        if base is None:
            folder = find_model(model)
            base = folder / "base" if (folder / "base").is_dir() else folder
            adapter = adapter or (folder / "adapter" if (folder / "adapter").is_dir() else None)
        else:
            folder = base.parent if base.name == "base" else base
        _need(base, ("config.json", "tokenizer_config.json", "*.safetensors"), "base model")
        if adapter is None and beside:
            raise ModelError(f"{base} has no adapter to serve others beside; give the judge's adapter first")
        for each in [*([] if adapter is None else [adapter]), *beside]:
            _need(each, ("adapter_config.json", "adapter_model.safetensors"), "adapter")
            _fits(base, each)
        golden = folder / "golden.json"
        return cls(
            name=folder.name,
            base=base.resolve(),
            adapter=adapter.resolve() if adapter is not None else None,
            golden=golden if golden.is_file() else None,
            base_hash=content_hash(base),
            adapter_hash=content_hash(adapter) if adapter is not None else "",
            beside={f"{folder.name}-{content_hash(each)[:10]}": each.resolve() for each in beside},
        )

    @property
    def base_model(self) -> str:
        """The name under which a server offers the base."""
        return f"{self.name}-base-{self.base_hash[:10]}"

    @property
    def judge_model(self) -> str:
        """The name of base with adapter, or of the base where there is none."""
        return f"{self.name}-{self.adapter_hash[:10]}" if self.adapter is not None else self.base_model

    @property
    def adapters(self) -> dict[str, Path]:
        """Every adapter by the name under which a server offers it, the judge's first."""
        return {self.judge_model: self.adapter, **self.beside} if self.adapter is not None else {}

    @property
    def window(self) -> int:
        """Tokens that a prompt and its answer may take together."""
        text = read_json(self.base, "config.json").get("text_config", {})
        return int(text.get("max_position_embeddings", 4096))

    @property
    def rank(self) -> int:
        """The largest of the adapters' ranks; 0 without one."""
        return max((int(read_json(a, "adapter_config.json")["r"]) for a in self.adapters.values()), default=0)


def content_hash(folder: Path) -> str:
    """SHA-256 over weights, configuration, tokenizer and template, file names included."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in HASHED for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _need(folder: Path, names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if not any(folder.glob(name))]
    if missing:
        raise ModelError(f"{folder} is no {what}: {missing[0]} is missing; export or copy it again")


def _fits(base: Path, adapter: Path) -> None:
    """Whether every tensor of the adapter belongs to a layer of the base, with its shape."""
    shapes = {key: shape for path in sorted(base.glob("*.safetensors")) for key, shape in _shapes(path).items()}
    for key, shape in sorted(_shapes(adapter / "adapter_model.safetensors").items()):
        stem, side, _ = key.rpartition(".lora_A." if ".lora_A." in key else ".lora_B.")
        layer = shapes.get(stem.removeprefix("base_model.model.") + ".weight")
        if layer is None or not side:
            raise ModelError(f"{adapter} is not an adapter of {base}: the base has no layer for {key!r}")
        at = 1 if "_A" in side else 0
        if shape[at] != layer[at]:
            raise ModelError(f"{adapter} is not an adapter of {base}: {key!r} is {shape}, the layer is {layer}")


def _shapes(path: Path) -> dict[str, list[int]]:
    """Tensor shapes from a safetensors header, without reading the weights."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size < 100_000_000:
                raise ValueError("header size")
            header = json.loads(file.read(size))
        return {key: list(value["shape"]) for key, value in header.items() if key != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{path} is damaged: its safetensors header cannot be read; copy it again") from None
