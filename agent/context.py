"""What a run of the graph uses and never remembers: the gallery, the models, the settings."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.judged import Reasons
from agent.rerankers.base import Kit, Reranker

if TYPE_CHECKING:
    from prompts.clients.base import ChatClient
    from retriever.gallery import Gallery


@dataclass(frozen=True, kw_only=True)
class Context:
    """Passed to every node as ``runtime.context``."""

    gallery: Gallery
    retriever: Any
    """A :class:`retriever.retrieve.Retriever` of the same gallery."""
    kit: Kit
    reranker: Reranker
    backend: str = "none"
    """Where the judge really answers from: vllm, transformers, url, or none."""
    model: str = "none"
    """Which model with which prompt, whatever the transport."""
    encoder: str = "none"
    """Id of the encoder that the retriever uses."""
    label: str = ""
    """The judge in words, for the screen."""
    close: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Gives back the judge's connections, in the event loop that used them."""
    shortlist: int = 10
    top: int = 3
    reasons: Reasons = "auto"
    """How the tiles that are shown are explained."""
    images: Mapping[str, Path] = field(default_factory=dict)
    """This command's images: sha256 -> file."""
    image_folder: Path | None = None
    """Content store with the images of earlier commands on the same thread, each as ``<sha256>.png``."""
    weighs: bool = True
    """Whether to work out what each clue did; a benchmark that shows it to nobody does not."""
    claims_client: Callable[[], ChatClient] | None = None
    """Opens the chat model that reads claims in place of the rules; each turn opens and closes its own."""
    choose: Callable[[Sequence[Any], Any], Any] = lambda questions, state: questions[0]
    """Takes one of the questions that may be put (:class:`agent.questions.Scored`, best first, never empty)."""
    seen: dict[str, Any] = field(default_factory=dict)
    """Scores of images that were already embedded, by sha256: an image is embedded once however often it is asked."""
