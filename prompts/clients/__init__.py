"""Chat clients: one request type, three ways to answer it (HTTP, in-process, recorded)."""

from prompts.clients.base import (
    ChatClient,
    ChatReply,
    ChatRequest,
    ImagePart,
    Message,
    TextPart,
    neutralise,
    parse_json,
)

__all__ = [
    "ChatClient",
    "ChatReply",
    "ChatRequest",
    "ImagePart",
    "Message",
    "TextPart",
    "neutralise",
    "parse_json",
]
