"""What light comes back along a ray: material, sun and shadow, sky, haze."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finetune.views import camera, facade
from finetune.views.conditions import Conditions
from finetune.views.houses import palette
from finetune.views.light import Light
from finetune.views.mesh import CROWN, ROOF, SIGN, WALL, linear
from finetune.views.poses import Pose
from finetune.views.seeds import grain
from finetune.views.sheet import CODE
from finetune.views.stage import COARSE_M, FINE, Hits, Stage
from finetune.views.texture import TO_LINEAR, Sheet, ground_colours, noise
from finetune.views.traffic import Traffic
from retriever.geo import Frame

Floats = NDArray[np.float32]
_BATCH = 1 << 16
"""Rays shaded at once: their arrays stay in the processor's cache."""


class Shader:
    """Light along the rays of one pose under one set of conditions."""

    def __init__(self, stage: Stage, pose: Pose, conditions: Conditions, frame: Frame) -> None:
        self.stage, self.pose, self.c, self.frame = stage, pose, conditions, frame
        self.mesh, self.age = stage.mesh, conditions.age_years
        self.sky = Light.of(conditions)
        self.angle = camera.pixel_angle(pose)
        colours = ground_colours(conditions)
        centre = self._looked_at()
        self.traffic = Traffic(stage.kerbs, conditions.seed, centre, clear=pose.view in ("ground", "panorama"))
        self.fine = Sheet.of(stage.window(*centre), FINE[1], colours)
        self.coarse = Sheet.of(stage.coarse(), COARSE_M, colours)
        self.plain = TO_LINEAR[colours[[CODE["rough"], CODE["yard"]]]].mean(axis=0)
        crowns = [linear(c) for c in palette()["crown"][conditions.season]]
        self.leaves = np.array(crowns, np.float32)
        self.needle = np.array(linear(palette()["needle"]), np.float32)
        self.snow = np.array(linear(palette()["snow"]), np.float32)

    def _looked_at(self) -> tuple[float, float]:
        """The point of the ground about which detail matters: below the camera, or where a drone looks."""
        x, y = self.frame.xy(self.pose.lat, self.pose.lon)
        if self.pose.view == "uav" and self.pose.altitude_m and self.pose.pitch_deg < -10:
            away = self.pose.altitude_m / np.tan(np.radians(-self.pose.pitch_deg))
            h = np.radians(self.pose.heading_deg)
            return float(x + away * np.sin(h)), float(y + away * np.cos(h))
        return float(x), float(y)

    def light(self, cols: Floats, rows: Floats) -> Floats:
        """Light [N, 3] at points of the picture [N] each."""
        out = np.empty((len(cols), 3), np.float32)
        for i in range(0, len(cols), _BATCH):
            part = slice(i, i + _BATCH)
            out[part] = self._batch(*camera.rays(self.pose, self.frame, cols[part], rows[part]))
        return out

    def _batch(self, origins: Floats, directions: Floats) -> Floats:
        origins, directions = np.ascontiguousarray(origins), np.ascontiguousarray(directions)
        hits, origins = self._through_leaves(origins, directions)
        out = self._sky(hits, directions)
        solid = np.flatnonzero(hits.triangle >= 0)
        if not len(solid):
            return out
        d, t, normal, triangle = directions[solid], hits.distance[solid], hits.normal[solid], hits.triangle[solid]
        points = origins[solid] + d * t[:, None]
        from_camera = np.linalg.norm(points - self._eye(), axis=1) if self.angle else t
        footprint = from_camera * self.angle if self.angle else np.full_like(t, self.pose.gsd_m or 0.1)
        albedo, shine, normal = self._albedo(points, triangle, normal, d, footprint)
        light = albedo * self._arriving(points, normal, triangle)
        light = (light + self._mirrored(d, normal, shine)) * np.float32(self.sky.gain)
        if self.angle:
            veil = 1 - np.exp(-from_camera / self.c.visibility_m)
            light += (self.sky.horizon - light) * veil[:, None]
        else:
            light += (self.sky.horizon - light) * np.float32(1 - np.exp(-600 / self.c.visibility_m)) * np.float32(0.6)
        out[solid] = light
        return out

    def _eye(self) -> Floats:
        x, y = self.frame.xy(self.pose.lat, self.pose.lon)
        return np.array([x, y, self.pose.altitude_m], np.float32)

    def _sky(self, hits: Hits, directions: Floats) -> Floats:
        out = np.zeros((len(directions), 3), np.float32)
        empty = np.flatnonzero(hits.triangle < 0)
        if len(empty):
            out[empty] = self.sky.overhead(directions[empty], self.c)
        return out

    def _through_leaves(self, origins: Floats, directions: Floats) -> tuple[Hits, Floats]:
        """Hits where gaps between leaves let rays on; origins move to where a ray went on."""
        hits = self.stage.cast(origins, directions, self.age, self.traffic)
        if not len(self.mesh.crowns):
            return hits, origins
        moved = origins
        waiting = np.arange(len(directions))
        for _ in range(3):
            triangle = hits.triangle[waiting]
            crown = (triangle >= 0) & (triangle < len(self.mesh.material))
            crown[crown] = self.mesh.material[triangle[crown]] == CROWN
            waiting = waiting[crown]
            if not len(waiting):
                break
            waiting = waiting[self._gap(hits, moved, directions, waiting)]
            if not len(waiting):
                break
            moved = moved.copy() if moved is origins else moved
            moved[waiting] += directions[waiting] * (hits.distance[waiting] + np.float32(0.25))[:, None]
            again = self.stage.cast(moved[waiting], directions[waiting], self.age, self.traffic)
            hits.triangle[waiting], hits.distance[waiting] = again.triangle, again.distance
            hits.normal[waiting] = again.normal
        return hits, moved

    def _gap(self, hits: Hits, origins: Floats, directions: Floats, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        p = origins[rows] + directions[rows] * hits.distance[rows, None]
        facing = np.abs(np.einsum("ij,ij->i", hits.normal[rows], directions[rows]))
        crown = self.mesh.crowns[self.mesh.row[hits.triangle[rows]]]
        bare = (crown[:, 5] > 0) & (self.c.season == "winter")
        share = np.where(bare, 0.62, 0.05 + 0.4 * np.clip(0.55 - facing, 0, 1))
        # In winter what is left are branches, which rise.
        cell = np.floor(p * np.where(bare[:, None], (13.0, 13.0, 3.0), (8.0, 8.0, 8.0))).astype(np.int64)
        return grain(cell[:, 0] + 4096 * cell[:, 2], cell[:, 1], 5) < share

    def _albedo(
        self, p: Floats, triangle: NDArray[np.int32], normal: Floats, d: Floats, footprint: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Colours [N, 3], how much of a mirror [N], and normals as bent by leaves and ripples."""
        size = self.stage.ground_code
        out, shine = np.empty_like(p), np.zeros(len(p), np.float32)
        ground = triangle == size
        on = np.flatnonzero(ground)
        if len(on):
            slant = np.maximum(np.abs(d[on, 2]), 0.05)
            out[on], shine[on] = self._ground(p[on], footprint[on] / np.sqrt(slant))
        cars = np.flatnonzero(triangle > size)
        if len(cars):
            out[cars], shine[cars] = self.traffic.colour[triangle[cars] - size - 1], 0.12
        rest = np.flatnonzero(triangle < size)
        t = triangle[rest]
        out[rest] = self.mesh.colour[t]
        material = self.mesh.material[t]
        for kind, paint in ((WALL, self._wall), (ROOF, self._roof), (CROWN, self._crown), (SIGN, self._sign)):
            rows = rest[material == kind]
            if len(rows):
                paint(rows, triangle[rows], p, normal, footprint, d, out, shine)
        return out, shine, normal

    def _ground(self, p: Floats, footprint: Floats) -> tuple[Floats, Floats]:
        x, y = p[:, 0], p[:, 1]
        colour, code = np.empty_like(p), np.empty(len(p), np.uint8)
        near = self.fine.inside(x, y)
        for sheet, rows in ((self.fine, np.flatnonzero(near)), (self.coarse, np.flatnonzero(~near))):
            if len(rows):
                colour[rows], code[rows] = sheet.colour(x[rows], y[rows], footprint[rows])
        beyond = np.flatnonzero(~self.coarse.inside(x, y))
        if len(beyond):
            dry = beyond[code[beyond] != CODE["water"]]
            colour[dry] = self.plain
        # The world's coordinates, not the stage's, so that neighbouring stages agree.
        wx, wy = x + np.float32(self.stage.origin[0] % 8192), y + np.float32(self.stage.origin[1] % 8192)
        fade = np.clip(1.3 - footprint * 3, 0, 1)
        colour *= np.clip(1 + 0.10 * noise(wx, wy, 0.8) + 0.09 * fade * noise(wx, wy, 9.0), 0.4, 1.8)[:, None]
        water = code == CODE["water"]
        return colour, np.where(water, np.float32(0.5), np.float32(0.0))

    def _wall(self, rows, t, p, normal, footprint, d, out, shine) -> None:  # type: ignore[no-untyped-def]
        out[rows], shine[rows] = facade.paint(
            self.mesh.walls, self.mesh.row[t], self.mesh.colour[t], p[rows], footprint[rows], self.c.seed
        )

    def _roof(self, rows, t, p, normal, footprint, d, out, shine) -> None:  # type: ignore[no-untyped-def]
        x, y, z = p[rows, 0], p[rows, 1], p[rows, 2]
        mottle = 1 + 0.07 * noise(x, y, 0.5) + 0.07 * noise(x, y + z, 6.0) * np.clip(1.3 - 3 * footprint[rows], 0, 1)
        out[rows] *= mottle[:, None]
        if self.c.snow:
            lying = np.clip(normal[rows, 2] * 1.6 - 0.4, 0, 0.9)[:, None]
            out[rows] += (self.snow - out[rows]) * lying

    def _crown(self, rows, t, p, normal, footprint, d, out, shine) -> None:  # type: ignore[no-untyped-def]
        crown = self.mesh.crowns[self.mesh.row[t]]
        away = (p[rows] - crown[:, :3]) / crown[:, [3, 3, 4]]
        tint = self.leaves[(crown[:, 6] * len(self.leaves)).astype(int)]
        colour = np.where(crown[:, 5:6] > 0, tint, self.needle)
        x, y, z = p[rows, 0], p[rows, 1], p[rows, 2]
        clump = noise(x + z, y - z, 3.0)
        leaf = noise(x - z, y + z, 13.0) * np.clip(1.4 - footprint[rows] * 4, 0, 1)
        out[rows] = colour * np.clip(1 + 0.22 * clump + 0.2 * leaf, 0.35, 1.9)[:, None]
        out[rows] *= (0.62 + 0.38 * np.clip(away[:, 2] * 0.5 + 0.5, 0, 1))[:, None]
        bent = away + 0.35 * np.stack([clump, leaf, clump * leaf], axis=1)
        normal[rows] = bent / np.maximum(np.linalg.norm(bent, axis=1, keepdims=True), 1e-6)
        if self.c.snow:
            out[rows] += (self.snow - out[rows]) * np.clip(normal[rows, 2:] - 0.2, 0, 0.5)

    def _sign(self, rows, t, p, normal, footprint, d, out, shine) -> None:  # type: ignore[no-untyped-def]
        board = self.mesh.boards[self.mesh.row[t]]
        u = ((p[rows, 0] - board[:, 0]) * board[:, 3] + (p[rows, 1] - board[:, 1]) * board[:, 4]) / board[:, 5]
        v = (p[rows, 2] - board[:, 2]) / board[:, 6]
        pictures = self.mesh.pictures
        _, high, wide, _ = pictures.shape
        j = np.clip((u * wide).astype(np.int32), 0, wide - 1)
        i = np.clip(((1 - v) * high).astype(np.int32), 0, high - 1)
        colour = TO_LINEAR[pictures[board[:, 7].astype(np.int32), i, j]]
        # A board's back has no writing; its front is to the right of its direction.
        front = d[rows, 0] * board[:, 4] - d[rows, 1] * board[:, 3] < 0
        out[rows] = np.where(front[:, None], colour, np.float32(0.25))

    def _arriving(self, p: Floats, normal: Floats, triangle: NDArray[np.int32]) -> Floats:
        """Sunlight that is not shadowed and light of the sky [N, 3]."""
        up = normal[:, 2]
        open_sky = (0.62 + 0.38 * up) * np.clip(0.72 + 0.28 * p[:, 2] / 7.0, 0, 1)
        level = triangle == self.stage.ground_code
        open_sky[level] = 0.55 + 0.45 * self.stage.openness(p[level, 0], p[level, 1])
        out = open_sky[:, None] * self.sky.sky
        toward = np.array(self.c.sun, np.float32)
        falling = normal @ toward
        lit = np.flatnonzero(falling > 0) if self.c.direct > 0 else np.zeros(0, int)
        if len(lit):
            start = p[lit] + normal[lit] * np.float32(0.04) + toward * np.float32(0.02)
            free = ~self.stage.shadowed(start, self.c.sun, self.age, self.traffic)
            out[lit[free]] += falling[lit[free], None] * self.sky.sun
        return out

    def _mirrored(self, d: Floats, normal: Floats, shine: Floats) -> Floats:
        """The sky in windows and water [N, 3]."""
        out = np.zeros_like(d)
        rows = np.flatnonzero(shine > 0)
        if len(rows):
            cosine = np.einsum("ij,ij->i", d[rows], normal[rows])
            bounced = d[rows] - 2 * cosine[:, None] * normal[rows]
            high = np.clip(bounced[:, 2], 0, 1)[:, None]
            sky = self.sky.horizon * (1 - high) + self.sky.zenith * high
            strength = shine[rows] * (0.12 + 0.88 * (1 - np.abs(cosine)) ** 3)
            low = np.where(bounced[:, 2] > 0.02, 1.0, 0.35)
            out[rows] = sky * (strength * low)[:, None] / np.float32(self.sky.gain)
        return out
