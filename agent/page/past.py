"""What was said on a thread, both languages of it, and what it comes to as GeoJSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retriever.area import Area
from retriever.errors import SightlineError
from retriever.types import Evidence

if TYPE_CHECKING:
    from agent.desk import Desk
    from agent.state import Json, State


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One turn as the page shows it."""

    number: int
    text: str
    en: str
    zh: str
    kind: str


async def exchanges(desk: Desk, thread: str) -> list[Exchange]:
    """The answered turns of a thread in order; empty for one in which nothing was said.

    ``Desk.history`` gives each reply in the language of its turn; the page can be switched, so it reads both.
    """
    found: dict[int, Exchange] = {}
    async for snapshot in desk.graph.aget_state_history({"configurable": {"thread_id": thread}}):
        state: State = snapshot.values
        number, reply = state.get("turn") or 0, state.get("reply")
        # The newest checkpoint of a turn comes first; one with a next node is of a turn that was not finished.
        if number and reply and not snapshot.next and number not in found:
            found[number] = Exchange(
                number=number, text=state.get("text") or "", en=reply["en"], zh=reply["zh"], kind=state["act"]["kind"]
            )
    return [found[number] for number in sorted(found)]


def area_geojson(text: str) -> Json:
    """A limit as a GeoJSON polygon; circles get 64 corners. Raises ``SightlineError`` for what is no area."""
    import shapely

    area = Area.parse(text)
    if area.shape is not None:
        return _object(shapely.to_geojson(area.shape))
    if area.centre is None:
        raise SightlineError(f"the limit {text[:80]!r} has neither shape nor centre; draw it again")
    from retriever.geo import Frame

    frame = Frame(lat=area.centre[0], lon=area.centre[1])
    ring = shapely.Point(0, 0).buffer(area.radius_m, quad_segs=16).exterior.coords
    corners = [frame.latlon(x, y) for x, y in ring]
    return _object(shapely.to_geojson(shapely.Polygon([(lon, lat) for lat, lon in corners])))


def _object(text: str) -> Json:
    made: Json = json.loads(text)
    return made


def geojson(export: Json) -> Json:
    """What a desk exports as a GeoJSON collection (RFC 7946): footprints best first, then the area limits."""
    result = export["turn"].get("result") or {}
    features = [_footprint(candidate) for candidate in result.get("candidates", [])]
    for number, limit in enumerate(export["limits"], 1):
        properties = {"role": "limit", "number": number, "en": limit["en"], "zh": limit["zh"]}
        features.append({"type": "Feature", "geometry": area_geojson(limit["area"]), "properties": properties})
    about = {key: export[key] for key in ("gallery", "judge", "encoder", "reranker")}
    about["thread"] = export["thread"].get("title") or export["thread"]["id"]
    for key in ("outside_probability", "elsewhere_probability", "confidence", "text"):
        about[key] = result.get(key)
    return {"type": "FeatureCollection", "features": features, "sightline": about}


def _footprint(candidate: Json) -> Json:
    west, south, east, north = candidate["bounds"]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    words: dict[str, Any] = candidate.get("explanation") or {}
    properties = {
        "role": "candidate",
        **{key: candidate[key] for key in ("tile_id", "rank", "verdict", "confidence", "lat", "lon", "error")},
        "explanation_en": words.get("en"),
        "explanation_zh": words.get("zh"),
        "evidence": [Evidence.from_json(item).to_json() for item in candidate["evidence"]],
    }
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": candidate["tile_id"], "geometry": geometry, "properties": properties}
