"""Two requests, one of them with a picture and two choices."""

from __future__ import annotations

from PIL import Image

from prompts.clients import ChatRequest, Message

RED = Image.new("RGB", (8, 8), (200, 0, 0))
ASK = ChatRequest(messages=(Message.of("user", "Is it here?"),))
YES_NO = ChatRequest(messages=(Message.of("user", RED, "Is it here?"),), choices=("yes", "no"))
IDS = {"yes": 11, "no": 12}
