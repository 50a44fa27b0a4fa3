"""The dual encoder: texts and tiles into one space, by any open_clip model or by a bundle of our own.

Text contexts are stretched as CrossText2Loc does (Where am I?, arXiv 2412.17007): the positional embedding is linearly
interpolated over the whole sequence and the causal mask rebuilt.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from retriever.device import device_for, home, put, room, steady
from retriever.errors import ModelError
from retriever.models import CONFIG, PROVENANCE, TOKENIZER, WEIGHTS, check_finite, find_model, load_weights, read_json
from retriever.preprocess import BoxResize as BoxResize
from retriever.preprocess import shrink as shrink
from retriever.tokenizer import OpenClipTokenizer, OwnTokenizer, TextTokenizer, Tokens
from retriever.types import canonical_json

Floats = NDArray[np.float32]
CONTEXT = 300
"""Tokens of text that a stretched model reads; descriptions run to about 300."""


class TruncationWarning(UserWarning):
    """Some text was longer than the encoder reads."""


class Encoder:
    """Texts and pictures to unit vectors of one space. Deterministic; always in evaluation mode.

    The model computes where its weights lie (:attr:`device`); what goes in and what comes out is on the CPU.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: TextTokenizer,
        preprocess: Callable[[Image.Image], torch.Tensor],
        *,
        name: str,
        identity: str,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.preprocess = preprocess
        self.name = name
        self.id = hashlib.sha256((identity + weights_hash(model)).encode()).hexdigest()[:16]
        """Changes with the weights, the config, the tokenizer or the preprocessing, and with nothing else."""
        self.provenance = dict(provenance or {})

    @classmethod
    def load(
        cls, name_or_path: str | Path = "sightline-mini", *, context_length: int = CONTEXT, device: str | None = None
    ) -> Encoder:
        """A bundle by name or folder, or an open_clip model ``NAME`` or ``NAME:PRETRAINED`` (tag or weights file).

        ``context_length`` is for open_clip models, whose context is stretched to it; a bundle has its own. ``device``
        is as :func:`retriever.device.device_for` takes it. Raises ``ModelError`` where there is no such model or
        device and where its weights do not fit.
        """
        import open_clip

        place = device_for(device)
        architecture, _, pretrained = str(name_or_path).partition(":")
        if architecture in open_clip.list_models() and not Path(name_or_path).exists():
            return _load_open_clip(cls, architecture, pretrained, context_length).to(place)
        return _load_bundle(cls, find_model(name_or_path)).to(place)

    def to(self, device: torch.device) -> Encoder:
        """Moves the weights; the encoder stays the same one, ``id`` included. Raises ``ModelError`` without room."""
        with steady(device):
            self.model.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        first = next(self.model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor on the encoder's device."""
        return put(tensor, self.device)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.encode_text([""]).shape[1])

    def encode_text(self, texts: Sequence[str], *, batch_size: int = 64) -> Floats:
        """float32 [B, D], each row of length 1. Warns with :class:`TruncationWarning` where text did not fit."""
        batches = [self.tokenizer(texts[i : i + batch_size]) for i in range(0, len(texts), batch_size)]
        _report(batches, len(texts), self.tokenizer.context_length)
        return self._stack([self._text(batch.ids) for batch in batches])

    def encode_images(self, images: Sequence[Image.Image], *, batch_size: int = 32) -> Floats:
        """float32 [B, D], each row of length 1."""
        if not images:
            return self._stack([])
        batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
        return np.concatenate([self.encode_pixels([self.preprocess(image) for image in batch]) for batch in batches])

    def encode_pixels(self, pixels: torch.Tensor | Sequence[torch.Tensor]) -> Floats:
        """float32 [B, D], each row of length 1, from what ``preprocess`` made, in one forward pass."""
        batch = pixels if isinstance(pixels, torch.Tensor) else torch.stack(list(pixels))
        with torch.inference_mode(), steady(self.device):
            return self._stack([self.model.encode_image(self.put(batch))])  # type: ignore[operator]

    def room(self, batch: int) -> torch.Tensor:
        """Memory for what the model reads of ``batch`` pictures, [B, ...], not filled; see :meth:`fill`."""
        one = self.preprocess(Image.new("RGB", (64, 64)))
        return room((batch, *one.shape), one.dtype, self.device)

    def fill(self, image: Image.Image, out: torch.Tensor) -> None:
        """What ``preprocess`` makes of a picture, into one row of :meth:`room`."""
        if isinstance(self.preprocess, BoxResize):
            self.preprocess.fill(image, out)
        else:
            out.copy_(self.preprocess(image))

    def _text(self, ids: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), steady(self.device):
            return text_features(self.model, self.put(ids))

    def _stack(self, parts: Sequence[torch.Tensor]) -> Floats:
        if not parts:
            return np.zeros((0, self.dim), np.float32)
        # Normalised on the CPU wherever the model computed, by the same arithmetic.
        return home(F.normalize(torch.cat([part.cpu() for part in parts]).float(), dim=-1))


def _report(batches: Sequence[Tokens], texts: int, context: int) -> None:
    cut, tokens = sum(b.texts_cut for b in batches), sum(b.tokens_cut for b in batches)
    if cut:
        message = (
            f"{cut} of {texts} texts were longer than {context} tokens; {tokens} tokens at their ends were not read"
        )
        warnings.warn(message, TruncationWarning, stacklevel=3)


def text_features(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Text vectors [B, D], not normalised, from ids int64 [B, L] with L up to the context.

    open_clip's own ``encode_text`` wants the full context; here pads that follow the longest text cost nothing.
    Attention is causal, so they do not change the result either.
    """
    from open_clip.transformer import text_global_pool

    if not _is_plain(model):
        features: torch.Tensor = model.encode_text(ids)
        return features
    x = text_global_pool(text_states(model, ids), ids, model.text_pool_type, eos_token_id=model.text_eos_id)
    head = model.text_projection
    if head is None:
        return x  # type: ignore[no-any-return]
    projected: torch.Tensor = head(x) if isinstance(head, nn.Linear) else x @ head
    return projected


def text_states(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """What the text tower makes of every token, after its last norm: [B, L, W] from ids int64 [B, L]."""
    if not _is_plain(model):
        asked = {"indices": 1, "normalize_intermediates": True, "intermediates_only": True, "output_fmt": "NLC"}
        found: torch.Tensor = model.text.forward_intermediates(ids, **asked)["text_intermediates"][-1]
        return found
    length = ids.shape[1]
    dtype = model.transformer.get_cast_dtype()
    x = model.token_embedding(ids).to(dtype) + model.positional_embedding[:length].to(dtype)
    mask = None if model.attn_mask is None else model.attn_mask[:length, :length]
    states: torch.Tensor = model.ln_final(model.transformer(x, attn_mask=mask))
    return states


def _is_plain(model: Any) -> bool:
    """Whether the text tower is the CLIP class's own, with causal attention and the end token's vector."""
    return (
        hasattr(model, "token_embedding") and model.text_pool_type in ("argmax", "eos") and model.attn_mask is not None
    )


def extend_context(model: Any, length: int) -> None:
    """Stretch the text context of an open_clip model to ``length`` tokens, in place.

    The positional embedding is interpolated linearly over the whole sequence (``align_corners=False``) and the causal
    mask rebuilt. Raises ``ModelError`` where the text tower has no learned positional embedding to stretch.
    """
    tower = model if hasattr(model, "positional_embedding") else getattr(model, "text", None)
    old = getattr(tower, "positional_embedding", None)
    if tower is None or old is None or getattr(tower, "cls_emb", None) is not None:
        raise ModelError("this text tower has no plain positional embedding, so its context cannot be stretched")
    wide = F.interpolate(old.detach().float().T[None], size=length, mode="linear", align_corners=False)[0].T
    tower.positional_embedding = nn.Parameter(wide.to(old.dtype).contiguous(), requires_grad=old.requires_grad)
    if tower.attn_mask is not None:
        tower.attn_mask = torch.full((length, length), float("-inf"), device=old.device).triu_(1)
    tower.context_length = length
    if hasattr(tower, "num_pos"):
        tower.num_pos = length


def weights_hash(model: nn.Module) -> str:
    """sha256 over every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """An open_clip model with random weights from its JSON config. Raises ``ModelError`` on anything else."""
    from open_clip.model import CLIP

    try:
        fields = {k: config[k] for k in ("embed_dim", "vision_cfg", "text_cfg")}
        model: nn.Module = CLIP(**fields, quick_gelu=config.get("quick_gelu", False))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"not an open_clip model config: {error!r}") from error
    return model


def _load_bundle(cls: type[Encoder], folder: Path) -> Encoder:
    from tokenizers import Tokenizer

    config = read_json(folder, CONFIG)
    if "open_clip" in config:
        return _load_open_clip_bundle(cls, folder, config)
    model = build_model(config)
    load_weights(model, folder / WEIGHTS)
    try:
        text = (folder / TOKENIZER).read_text(encoding="utf-8")
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # `tokenizers` raises bare Exception on a malformed file
        raise ModelError(f"{folder / TOKENIZER} cannot be read ({error}): copy the bundle again") from error
    if tokenizer.get_vocab_size() > config["text_cfg"]["vocab_size"]:
        raise ModelError(f"{folder}: the tokenizer has more tokens than the model; they are not of one bundle")
    return cls(
        model,
        OwnTokenizer(tokenizer, config["text_cfg"]["context_length"]),
        BoxResize(**config["preprocess"]),
        name=folder.name,
        identity=canonical_json(config) + text,
        provenance=read_json(folder, PROVENANCE),
    )


def _load_open_clip_bundle(cls: type[Encoder], folder: Path, config: Mapping[str, Any]) -> Encoder:
    from retriever.open_clip_bundle import load_parts

    model, tokenizer, preprocess = load_parts(folder, config)
    identity = canonical_json(config) + (folder / TOKENIZER).read_text(encoding="utf-8")
    provenance = read_json(folder, PROVENANCE)
    return cls(model, tokenizer, preprocess, name=folder.name, identity=identity, provenance=provenance)


def _load_open_clip(cls: type[Encoder], name: str, pretrained: str, context_length: int) -> Encoder:
    import open_clip

    tag = pretrained or next(iter(open_clip.list_pretrained_tags_by_model(name)), None)
    if tag is None:
        raise ModelError(f"open_clip knows no weights for {name}: write {name}:FILE to load your own")
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(name, pretrained=tag)
        call = open_clip.get_tokenizer(name)
    except Exception as error:  # hub, file and config errors have no common base
        raise ModelError(f"{name}:{tag} could not be loaded ({error}); offline, use sightline-mini") from error
    check_finite(model.state_dict(), f"{name}:{tag}")
    plain = _is_plain(model)
    if plain and model.context_length < context_length:
        extend_context(model, context_length)
    tokenizer = OpenClipTokenizer(call, model.context_length, trim=plain)
    seen = open_clip.get_model_preprocess_cfg(model)
    identity = canonical_json([open_clip.get_model_config(name), seen, int(model.context_length)])
    return cls(model, tokenizer, preprocess, name=f"{name}-{tag}".replace("/", "-"), identity=identity)
