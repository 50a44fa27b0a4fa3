"""The answer for other tools: candidates and area limits as GeoJSON and KML."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from agent.casefile.areas import area_of, outline
from agent.casefile.case import Case
from agent.casefile.words import attribution, plain, plain_all
from agent.phrasing import VERDICTS, percent

Json = dict[str, Any]
_STYLE = {"match": "8a340f", "no_match": "1f1fcf", "cannot_tell": "6a6a6a", None: "6a6a6a"}
"""KML colours, blue first."""
_kml = threading.Lock()
"""simplekml numbers its elements with one counter for the whole process."""


def geojson(case: Case) -> bytes:
    """A FeatureCollection (RFC 7946): a polygon per candidate, best first, then the area limits."""
    features = [_feature(shapely.box(*c["bounds"]), _properties(c, case)) for c in case.candidates]
    features += [_feature(shape, told) for shape, told in _limits(case)]
    whole = {
        "type": "FeatureCollection",
        "name": plain(case.case["thread"].get("title") or case.case["thread"]["id"]),
        "attribution": attribution(case.case["gallery"]),
        "none_of_these": case.posterior["elsewhere"] + case.posterior["outside"],
        "features": features,
    }
    return (json.dumps(plain_all(whole), ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def _feature(shape: BaseGeometry, properties: Json) -> Json:
    # Right-handed rings, as the specification wants them.
    return {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(shapely.orient_polygons(shape))),
        "properties": properties,
    }


def _properties(candidate: Json, case: Case) -> Json:
    words = candidate["explanation"] or {}
    return {
        "kind": "candidate",
        "tile_id": candidate["tile_id"],
        "rank": candidate["rank"],
        "verdict": candidate["verdict"] or "not_judged",
        "confidence": candidate["confidence"],
        "judge_probability": candidate["features"]["p_match"],
        "lat": candidate["lat"],
        "lon": candidate["lon"],
        "reason_en": words.get("en"),
        "reason_zh": words.get("zh"),
        "attribution": attribution(case.case["gallery"]),
    }


def _limits(case: Case) -> Iterator[tuple[BaseGeometry, Json]]:
    """The limits one by one with their words; the whole area where they were given as numbers only."""
    limits = case.query["limits"] or ([{"area": case.query["within"]}] if case.query["within"] else [])
    for number, limit in enumerate(limits, 1):
        area = area_of(limit.get("area"))
        if area is not None:
            told = {"kind": "area limit", "number": number, "en": limit.get("en"), "zh": limit.get("zh")}
            yield outline(area), told


def kml(case: Case) -> bytes:
    """KML 2.2 with a folder of candidates and one of area limits."""
    with _kml:
        return _written(case)


def _written(case: Case) -> bytes:
    simplekml: Any = import_module("simplekml")
    simplekml.Kml.resetidcounter()
    document = simplekml.Kml(name=_text(case.case["thread"].get("title") or case.case["thread"]["id"]))
    none = percent(case.posterior["elsewhere"] + case.posterior["outside"])
    document.document.description = _text(
        f"{attribution(case.case['gallery'])}. None of these candidates: {none} / 以上候选都不对：{none}"
    )
    folder = document.newfolder(name="Candidates / 候选")
    for candidate in case.candidates:
        _placemark(folder, candidate, case)
    limits = list(_limits(case))
    if limits:
        folder = document.newfolder(name="Area limits / 范围限制")
        for shape, told in limits:
            name = _text(told.get("en") or f"limit {told['number']}")
            for part in getattr(shape, "geoms", [shape]):
                _polygon(folder, part, name, _text(told.get("zh") or ""), "a85718", 0)
    return str(document.kml()).encode()


def _placemark(folder: Any, candidate: Json, case: Case) -> None:
    en, zh = VERDICTS[candidate["verdict"]]
    sure, words = percent(candidate["confidence"]), candidate["explanation"] or {}
    name = _text(f"{candidate['rank']}. {candidate['tile_id']}: {en} / {zh}, {sure}")
    told = "\n".join(filter(None, (words.get("en"), words.get("zh"), attribution(case.case["gallery"]))))
    opaque = 40 + round(160 * (candidate["confidence"] or 0.0))
    made = _polygon(folder, shapely.box(*candidate["bounds"]), name, _text(told), _STYLE[candidate["verdict"]], opaque)
    for key, value in _properties(candidate, case).items():
        # The library writes these values as they are.
        made.extendeddata.newdata(key, html.escape(_text("" if value is None else str(value))))


def _polygon(folder: Any, shape: Any, name: str, description: str, colour: str, opaque: int) -> Any:
    made = folder.newpolygon(name=name, description=description)
    made.outerboundaryis = list(shape.exterior.coords)
    if shape.interiors:
        made.innerboundaryis = [list(ring.coords) for ring in shape.interiors]
    made.style.linestyle.color, made.style.linestyle.width = f"ff{colour}", 2
    made.style.polystyle.color = f"{opaque:02x}{colour}"
    return made


def _text(value: str) -> str:
    """Text that XML can carry; the library would leave what looks like a CDATA section unescaped."""
    return plain(value).replace("<![CDATA[", "<! [CDATA[").replace("]]>", "]] >")
