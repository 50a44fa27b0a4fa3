"""Patch vectors of pictures, computed once: methods that compare words with patches meet the same tiles again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery

MOST = 1000
"""Pictures kept, the last ones used: about 50 MB with the shipped encoder."""
_kept: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()


def patches_of(encoder: Encoder, gallery: Gallery, tile_id: str) -> NDArray[np.float32]:
    """As :func:`retriever.late.patches` of the tile's picture. Raises ``GalleryError`` and what that raises."""
    from retriever.late import patches

    image = gallery.image(tile_id)
    key = (encoder.id, hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest())
    if key not in _kept:
        _kept[key] = patches(encoder, image)
        if len(_kept) > MOST:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]
