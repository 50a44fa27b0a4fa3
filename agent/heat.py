"""``sightline locate --heat``: heat maps of the shown candidates, as files and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from agent.context import Context
from retriever.errors import SightlineError

if TYPE_CHECKING:
    from PIL import Image


def show_heat(
    context: Context, result: dict[str, Any], images: Sequence[tuple[str, Path]], folder: Path
) -> tuple[list[Text], list[str]]:
    """Writes the heat of the query against each shown candidate to ``folder``.

    Returns a line of coloured words per candidate, and what could not be drawn. ``images`` are the query's, by view.
    Raises ``SightlineError`` where nothing can be drawn at all.
    """
    from PIL import Image

    from retriever.heat_.page import Shown, terminal, write_heat

    if context.kit.encoder is None:
        raise SightlineError("heat maps need the encoder that made the shortlist, and none was given")
    tiles: list[Shown] = []
    missing: list[str] = []
    for candidate in result["candidates"][: max(result["shown"], 1)]:
        picture = _picture(context, candidate["tile_id"], missing)
        if picture is not None:
            tiles.append(Shown(tile_id=candidate["tile_id"], rank=candidate["rank"], image=picture))
    pictures = [(view, Image.open(path).convert("RGB")) for view, path in images]
    credit = str(getattr(context.gallery, "manifest", {}).get("attribution", ""))
    heats = write_heat(folder, context.kit.encoder, result["text"], pictures, tiles, credit=credit)
    lines = [Text.assemble((f"#{t.rank} ", "bold"), terminal(h)) for t, h in zip(tiles, heats, strict=False)]
    return lines, missing


def _picture(context: Context, tile_id: str, missing: list[str]) -> Image.Image | None:
    try:
        return context.gallery.image(tile_id)
    except SightlineError as error:
        missing.append(str(error))
        return None
