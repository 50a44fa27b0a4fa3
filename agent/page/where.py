"""The map: our own tiles, the posterior as heat, candidates as footprints, area limits in force and being drawn."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import shapely

from agent.casefile.areas import outline
from agent.page.pictures import belief_url
from retriever.area import Area
from retriever.errors import SightlineError
from retriever.pages.frame import button, node, set_attribute

if TYPE_CHECKING:
    from nicegui.elements.leaflet.leaflet_layer import Layer
    from nicegui.events import GenericEventArguments

    from agent.page.desk_page import DeskPage
    from agent.state import Json

_NO_TOOLS = dict.fromkeys(("polyline", "polygon", "rectangle", "circle", "marker", "circlemarker"), False)
_PENS = {"box": "Rectangle", "polygon": "Polygon", "circle": "Circle"}
_DRAWN = """(e) => emit(e.layerType, e.layer._mRadius ? [e.layer._latlng.lat, e.layer._latlng.lng, e.layer._mRadius]
  : e.layer._latlngs[0].map((p) => [p.lng, p.lat]))"""
_LINE = {"verdict": {"match": "#0f8a34", "no_match": "#b3171c", "cannot_tell": "#a06a00", None: "#1857b6"}}
_FIRST, _MATTERS = 2, 0.05
"""The map moves so that these first candidates and all of at least this confidence can be seen."""
_LABELLED = 9
"""Candidates with their number on the map; these have keys as well."""


class Where:
    """The pane with the map. The map itself is built once; what lies on it changes."""

    def __init__(self, page: DeskPage) -> None:
        self.page = page
        self.heat_on = self.prints_on = True
        self._layers: list[Layer] = []
        self._prints: dict[str, Any] = {}
        self._fit_due = False

    def build(self) -> None:
        """The map, inside the map's pane."""
        from nicegui import ui

        gallery = self.page.session.desk.context.gallery
        mosaic = self.page.house.mosaic(gallery.id)
        west, south, east, north = mosaic.bounds
        with self.page.map_pane:
            self.bar = node("div", classes="pane-top")
            self.map: Any = ui.leaflet(
                center=((south + north) / 2, (west + east) / 2),
                zoom=mosaic.max_zoom - 3,
                options={"minZoom": mosaic.min_zoom, "maxZoom": mosaic.max_zoom + 1, "zoomSnap": 0.5},
                draw_control={"draw": _NO_TOOLS, "edit": {"remove": False}},
                hide_drawn_items=True,
            ).classes("leaf")
            self.foot = node("div", classes="map-foot")
        # The element comes with a layer of somebody else's server; it is taken out before any browser hears of it.
        self.map.clear_layers()
        credit = html.escape(str(gallery.manifest.get("attribution", "")))
        address = f"/page/base/{self.page.house.token(gallery.id)}/{quote(gallery.id, safe='')}/{{z}}/{{x}}/{{y}}"
        self.map.tile_layer(
            url_template=address,
            options={
                "minZoom": mosaic.min_zoom, "maxNativeZoom": mosaic.max_zoom, "maxZoom": mosaic.max_zoom + 1,
                "bounds": [[south, west], [north, east]], "attribution": credit,
            },
        )  # fmt: skip
        self.map.on("map-click", self._clicked, js_handler="(e) => emit(e.latlng.lat, e.latlng.lng)")
        self.map.on("draw:created", self._drawn, js_handler=_DRAWN)
        self.map.on("init", self._ready)

    def _ready(self) -> None:
        # After the layers are added, which the element does on the same event.
        self.page.script(
            f"(() => {{ const c = getElement({self.map.id}); c.map.attributionControl.setPrefix(false);"
            f" c.$el.setAttribute('role', 'application');"
            f" c.$el.setAttribute('aria-label', {json.dumps(self.page.say('map_label'))}) }})()"
        )
        self.fit()

    def draw(self) -> None:
        """Bar and legend again, in the page's language."""
        page = self.page
        self.bar.clear()
        with self.bar:
            node("h2", page.say("map"))
            for name, label in (("heat", "show_heat"), ("prints", "show_prints")):
                made = button(page.say(label), "", lambda name=name: self._toggle(name), data_test=f"show-{name}")  # type: ignore[misc]
                set_attribute(made, "aria_pressed", "true" if getattr(self, f"{name}_on") else "false")
            node("span", classes="grow")
            with node("details", classes="menu right", data_test="draw"):
                node("summary", page.say("draw_area"))
                with node("div", classes="menu-list"):
                    for pen in _PENS:
                        made = node("button", page.say(f"draw_{pen}"), type="button", data_test=f"draw-{pen}")
                        made.on("click", js_handler=self._pen(pen))
                    button(page.say("this_view"), "", self._this_view, data_test="this-view")
            button(page.say("fit"), "", self.fit)
        self._tips()
        self._foot()

    def _foot(self) -> None:
        page, turn = self.page, self.page.session.turn
        self.foot.clear()
        with self.foot:
            with node("div", classes="legend", title=page.say("legend_note")):
                node("span", page.say("legend_less"))
                node("i", aria_hidden="true")
                node("span", page.say("legend_more"))
            node("span", page.say("legend_note"), classes="soft wide-only")
            if turn is not None and turn.limits:
                words = "; ".join(self._limit_words(limit) for limit in turn.limits)
                node("span", page.say("searched", what=words), classes="limit", data_test="limits")
                button(page.say("lift"), "", self._lift, data_test="lift")

    def _limit_words(self, limit: Any) -> str:
        """A drawn area's own words are its coordinates, which tell nobody anything."""
        text = str(limit["text"]).strip()
        return self.page.say("drawn") if text.startswith("{") else str(limit[self.page.lang])

    def _pen(self, pen: str) -> str:
        """Begins to draw; the pen before is put down."""
        options = "{showArea: false, showRadius: true, allowIntersection: false, shapeOptions: {color: '#1857b6'}}"
        return (
            f"(e) => {{ e.target.closest('details').open = false; const c = getElement({self.map.id});"
            f" if (window.pen) window.pen.disable(); window.pen = new L.Draw.{_PENS[pen]}(c.map, {options});"
            f" window.pen.enable(); c.$el.focus() }}"
        )

    def _tips(self) -> None:
        """What the pens say, in the page's language; only our own words go in."""
        start, go, end, drag, release = (
            json.dumps(self.page.say(f"tip_{tip}")) for tip in ("start", "go", "end", "drag", "release")
        )
        self.page.script(
            f"if (window.L && L.drawLocal) {{ const h = L.drawLocal.draw.handlers;"
            f" h.polygon.tooltip = {{start: {start}, cont: {go}, end: {end}}};"
            f" h.rectangle.tooltip.start = {drag}; h.circle.tooltip.start = {drag};"
            f" h.simpleshape.tooltip.end = {release} }}"
        )

    # --- what lies on the map ---------------------------------------------------------------------------------------

    async def show(self) -> None:
        """Posterior, footprints and limits as the session stands."""
        self._clear()
        session = self.page.session
        self._foot()
        if session.turn is not None:
            for limit in session.turn.limits:
                self._limit(str(limit["area"]))
        if session.result is None or session.thread is None:
            return
        if self.heat_on:
            try:
                url, (west, south, east, north) = await belief_url(session.desk, session.thread)
                self._add(self.map.image_overlay(url=url, bounds=[[south, west], [north, east]]))
            except SightlineError as error:
                self.page.talk.tell(str(error))
        self._footprints(session.candidates)

    def preview(self, candidates: list[Json]) -> None:
        """Footprints while the turn is still under way."""
        self._clear()
        self._footprints(candidates)

    def _footprints(self, candidates: list[Json]) -> None:
        self._prints = {}
        if not self.prints_on:
            return
        # The first are drawn last, so that they lie on top.
        for candidate in reversed(candidates):
            west, south, east, north = candidate["bounds"]
            style = self._style(candidate)
            layer = self._add(self.map.generic_layer(name="rectangle", args=[[[south, west], [north, east]], style]))
            self._prints[candidate["tile_id"]] = layer
            if candidate["rank"] <= _LABELLED:
                # A tooltip's content is markup to Leaflet: a number is all that goes in.
                options = {"content": str(int(candidate["rank"])), "permanent": True, "direction": "center",
                           "className": "rank-label", "interactive": False}  # fmt: skip
                self._add(self.map.generic_layer(name="tooltip", args=[[candidate["lat"], candidate["lon"]], options]))

    def _style(self, candidate: Json) -> Json:
        chosen = candidate["tile_id"] == self.page.chosen
        colour = _LINE["verdict"].get(candidate.get("verdict"), "#1857b6")
        return {
            "color": "#1857b6" if chosen else colour, "weight": 4 if chosen else 2, "fill": False,
            "opacity": 1.0 if chosen or candidate["rank"] <= 3 else 0.55, "interactive": False,
            "dashArray": None if chosen or candidate["rank"] <= 3 else "4 4",
        }  # fmt: skip

    def mark(self) -> None:
        """Show which footprint is chosen."""
        for candidate in self.page.session.candidates:
            layer = self._prints.get(candidate["tile_id"])
            if layer is not None:
                style = self._style(candidate)
                layer.args[1] = style
                layer.run_method("setStyle", style)

    def _limit(self, area: str) -> None:
        style = {"color": "#1857b6", "weight": 2, "dashArray": "6 5", "fill": False, "interactive": False}
        try:
            shape = json.loads(shapely.to_geojson(outline(Area.parse(area))))
        except SightlineError as error:
            self.page.talk.tell(str(error))
            return
        self._add(self.map.generic_layer(name="geoJSON", args=[shape, {"style": style, "interactive": False}]))

    def _add(self, layer: Layer) -> Layer:
        self._layers.append(layer)
        return layer

    def _clear(self) -> None:
        for layer in self._layers:
            self.map.remove_layer(layer)
        self._layers, self._prints = [], {}

    def fit(self) -> None:
        """Move so that the candidates that matter (or the whole gallery) can be seen."""
        listed = self.page.session.candidates
        boxes = [c["bounds"] for c in listed if c["rank"] <= _FIRST or (c["confidence"] or 0.0) >= _MATTERS] or [
            self.page.house.mosaic(self.page.session.desk.context.gallery.id).bounds
        ]
        self._fit_due = True
        west, south = min(b[0] for b in boxes), min(b[1] for b in boxes)
        east, north = max(b[2] for b in boxes), max(b[3] for b in boxes)
        self.map.run_map_method("fitBounds", [[south, west], [north, east]], {"padding": [16, 16]})

    def focus(self) -> None:
        """The keyboard goes to the map."""
        self.page.show_tab("map")
        self.page.script(f"getElement({self.map.id}).$el.focus()")

    def resized(self) -> None:
        """The map was hidden and is shown again; a map without a size could not be moved to anything."""
        self.map.run_map_method("invalidateSize")
        if self._fit_due:
            self.fit()
            self._fit_due = False

    async def _toggle(self, name: str) -> None:
        setattr(self, f"{name}_on", not getattr(self, f"{name}_on"))
        self.draw()
        await self.show()

    # --- choosing and limiting --------------------------------------------------------------------------------------

    async def _clicked(self, event: GenericEventArguments) -> None:
        """The candidate whose centre is nearest, among those whose footprint holds the point."""
        lat, lon = event.args
        held = [
            c for c in self.page.session.candidates
            if c["bounds"][0] <= lon <= c["bounds"][2] and c["bounds"][1] <= lat <= c["bounds"][3]
        ]  # fmt: skip
        if held:
            nearest = min(held, key=lambda c: (c["lat"] - lat) ** 2 + (c["lon"] - lon) ** 2)
            await self.page.choose(nearest["tile_id"])

    def _drawn(self, event: GenericEventArguments) -> None:
        kind, numbers = event.args
        if kind == "circle":
            lat, lon, metres = (float(n) for n in numbers)
            self._limit_to(f"{lat:.7f},{lon:.7f},{metres:.0f}m")
            return
        ring = [[round(float(x), 7), round(float(y), 7)] for x, y in numbers]
        self._limit_to({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})

    async def _this_view(self) -> None:
        box = await self.map.run_map_method("getBounds")
        south, west = box["_southWest"]["lat"], box["_southWest"]["lng"]
        north, east = box["_northEast"]["lat"], box["_northEast"]["lng"]
        self._limit_to(f"{west:.6f},{south:.6f},{east:.6f},{north:.6f}")

    def _limit_to(self, area: Any) -> None:
        self.page.ask(order={"do": "limit", "area": area}, told="[limit: an area that was drawn]")

    def _lift(self) -> None:
        self.page.ask(order={"do": "limit", "area": None}, told="[limit: none]")
