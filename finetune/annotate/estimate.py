"""How many tokens a request will be, before any server has counted them."""

from __future__ import annotations

import io
import math

from PIL import Image

from prompts.clients.base import ChatRequest, ImagePart, TextPart

_MESSAGE = 8
"""Role and separators of one message."""


def estimate(request: ChatRequest, pixels_per_token: float) -> int:
    """Tokens of the prompt, rather too many: a token for three ASCII characters or for one other, and the pictures.

    The schema is left out: servers that constrain the answer do not charge for it as text.
    """
    total = 0.0
    for message in request.messages:
        total += _MESSAGE
        for part in message.parts:
            total += _text(part) if isinstance(part, TextPart) else _picture(part, pixels_per_token)
    return math.ceil(total)


def _text(part: TextPart) -> float:
    plain = sum(1 for c in part.text if c.isascii())
    return plain / 3.0 + (len(part.text) - plain)


def _picture(part: ImagePart, pixels_per_token: float) -> float:
    # The header alone is read: a dry run looks at thousands.
    width, height = Image.open(io.BytesIO(part.png)).size
    return width * height / pixels_per_token
