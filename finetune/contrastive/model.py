"""The dual encoder that a recipe asks for: built, filled, stretched, frozen, with adapters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from finetune.contrastive.recipe import Lora, ModelPlan, Tower
from finetune.contrastive.released import import_openai
from retriever.encoder import extend_context, text_features
from retriever.errors import ModelError
from retriever.models import CONFIG, check_finite, read_json
from retriever.open_clip_bundle import KEY, Squash, build_open_clip, load_parts, open_clip_tokenizer, trims
from retriever.tokenizer import OpenClipTokenizer


@dataclass(kw_only=True)
class Dual:
    """A model with what it needs to read texts and pictures."""

    model: Any
    config: dict[str, Any]
    """open_clip's, with the context as it is now."""
    tokenizer: OpenClipTokenizer
    preprocess: Squash
    mean: tuple[float, ...]
    std: tuple[float, ...]
    adapters: dict[str, Any]
    """peft's wrappers, by tower."""

    def texts(self, ids: torch.Tensor) -> torch.Tensor:
        """int64 [B, L] to [B, D], not normalised."""
        return text_features(self.model, ids)

    def pictures(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [B, 3, S, S] to [B, D], not normalised."""
        features: torch.Tensor = self.model.encode_image(self.preprocess.normalise(pixels))
        return features

    def learns(self, tower: Tower) -> bool:
        return any(p.requires_grad for p in tower_parameters(self.model, tower))

    def moved(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def merged(self) -> Any:
        """The model with its adapters worked into its weights; this one keeps them apart."""
        if not self.adapters:
            return self.model
        # A copy keeps the wrappers' references together with the modules that they wrap.
        model, adapters = copy.deepcopy((self.model, self.adapters))
        for adapter in adapters.values():
            adapter.merge_and_unload()
        return model


def prepare(plan: ModelPlan, *, seed: int = 0, checkpoint_layers: bool = False) -> Dual:
    """The model of a recipe. Raises ``ModelError`` where its parts cannot be found or do not fit."""
    torch.manual_seed(seed)
    model, config, tokenizer_folder = _load(plan)
    context = plan.context_length or int(config["text_cfg"]["context_length"])
    stretch(model, context, keep=plan.keep if plan.stretch == "keep_prefix" else None)
    config["text_cfg"]["context_length"] = context
    # Under a softmax a bias shared by all pairs changes nothing.
    if getattr(model, "logit_bias", None) is not None:
        model.logit_bias.requires_grad_(False)
    for tower in plan.frozen:
        for p in tower_parameters(model, tower):
            p.requires_grad_(False)
    adapters = {tower: _adapt(model, tower, lora) for tower, lora in plan.lora.items()}  # type: ignore[arg-type]
    if checkpoint_layers:
        model.set_grad_checkpointing(True)
    call = open_clip_tokenizer(config, context, folder=plan.tokenizer or tokenizer_folder)
    size, mean, std = _seen(model, config)
    return Dual(
        model=model, config=config, tokenizer=OpenClipTokenizer(call, context, trim=trims(model)), mean=mean, std=std,
        preprocess=Squash(size=size, mean=mean, std=std), adapters=adapters,
    )  # fmt: skip


def stretch(model: Any, length: int, *, keep: int | None = None) -> None:
    """Lengthen a text tower's positions in place: linearly over the whole sequence, as CrossText2Loc does.

    ``keep``: so many first positions, which pretraining has used most, stay as they are, and only the rest is
    stretched (Long-CLIP, arXiv 2403.15378). Raises ``ModelError`` for a shorter context, or a ``keep`` out of range.
    """
    tower = model if hasattr(model, "positional_embedding") else getattr(model, "text", None)
    old = getattr(tower, "positional_embedding", None)
    if old is None or length == len(old):
        if old is None:
            raise ModelError("this text tower has no learned positions, so its context cannot be chosen")
        return
    if length < len(old):
        raise ModelError(f"the context of {length} tokens is shorter than the model's own {len(old)}: ask for more")
    if keep is not None and not 0 < keep < len(old):
        raise ModelError(f"{keep} positions cannot be kept of {len(old)}: keep fewer")
    first = old.detach().clone()
    extend_context(model, length)
    if keep is not None:
        rest = F.interpolate(first[keep:].float().T[None], size=length - keep, mode="linear", align_corners=False)[0].T
        with torch.no_grad():
            tower.positional_embedding.copy_(torch.cat([first[:keep].float(), rest]))  # type: ignore[union-attr]


def tower_parameters(model: Any, tower: Tower) -> Iterator[nn.Parameter]:
    """Everything of one tower; the temperature and the bias belong to neither."""
    for name, p in model.named_parameters():
        if name.startswith("logit_"):
            continue
        if name.startswith("visual.") == (tower == "image"):
            yield p


def _load(plan: ModelPlan) -> tuple[Any, dict[str, Any], Path | None]:
    """Model, config, and the folder of its tokenizer where it comes out of a bundle."""
    import open_clip

    weights = Path(plan.pretrained) if plan.pretrained else None
    if weights is not None and weights.is_dir():
        config = read_json(weights, CONFIG)
        model, _, _ = load_parts(weights, config)
        folder = weights / "tokenizer"
        return model, config[KEY], folder if folder.is_dir() else None
    config = _config(plan.open_clip)
    if weights is None:
        return build_open_clip(config), config, None
    if weights.suffix in (".pth", ".pt") and weights.exists():
        model, found = import_openai(weights)
        return model, found, None
    try:
        model = open_clip.create_model(plan.open_clip, pretrained=plan.pretrained)
    except Exception as error:  # hub, file and config errors have no common base
        raise ModelError(f"{plan.open_clip} with weights {plan.pretrained!r} could not be loaded ({error})") from error
    check_finite(model.state_dict(), plan.pretrained)
    return model, config, None


def _config(name: str) -> dict[str, Any]:
    import open_clip

    if name.endswith(".json"):
        return read_json(Path(name).parent, Path(name).name)
    config = open_clip.get_model_config(name)
    if config is None:
        raise ModelError(f"open_clip knows no model {name!r}: list them with open_clip.list_models()")
    return copy.deepcopy(config)


def _seen(model: Any, config: dict[str, Any]) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Size, mean and deviation of what the image tower reads."""
    import open_clip

    said = open_clip.get_model_preprocess_cfg(model)
    size = model.visual.image_size
    # SigLIP's towers are timm's and are trained on pictures between -1 and 1; CLIP's with its own data's mean.
    siglip = "timm_model_name" in config["vision_cfg"]
    mean = said.get("mean") or ((0.5,) * 3 if siglip else open_clip.OPENAI_DATASET_MEAN)
    std = said.get("std") or ((0.5,) * 3 if siglip else open_clip.OPENAI_DATASET_STD)
    return int(size[0] if isinstance(size, tuple | list) else size), tuple(mean), tuple(std)


def _adapt(model: Any, tower: Tower, lora: Lora) -> Any:
    """Adapters on the linear layers and the attention of a tower; everything else of it stands still."""
    from peft import LoraConfig, LoraModel

    for p in tower_parameters(model, tower):
        p.requires_grad_(False)
    root = model.visual if tower == "image" else getattr(model, "text", None) or model.transformer
    attention = [name for name, m in root.named_modules() if isinstance(m, nn.MultiheadAttention)]
    # torch's attention reads its output layer's weights and never calls it: an adapter there would do nothing. Its
    # input weights are adapted as a parameter: peft's own layer for attention adds to them and takes away again at
    # every pass, and what rounding leaves adds up over a run.
    linear = [
        name
        for name, m in root.named_modules()
        if isinstance(m, nn.Linear) and not any(name.startswith(f"{a}.") for a in attention)
    ]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0 if attention else lora.dropout,
        target_modules=linear,
        target_parameters=[f"{a}.in_proj_weight" for a in attention] or None,
    )
    return LoraModel(root, config, "default")
