"""A thread as one JSON document."""

from __future__ import annotations

from importlib.metadata import version

from agent.desk import Desk
from agent.state import Json


async def exported(desk: Desk, thread: str) -> Json:
    """What :meth:`agent.desk.Desk.export` gives, with whose map it is and which Sightline wrote it."""
    manifest = getattr(desk.context.gallery, "manifest", {})
    return {
        **await desk.export(thread),
        "attribution": str(manifest.get("attribution", "")),
        "sightline": version("sightline"),
    }
