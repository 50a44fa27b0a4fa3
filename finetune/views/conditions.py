"""What a picture was taken under: sun, season, haze, sensor and how old it is. All drawn from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from finetune.views.poses import ViewName
from finetune.views.seeds import generator
from retriever.types import Record

Season = Literal["spring", "summer", "autumn", "winter"]
AGES: tuple[int, ...] = (0, 3, 8, 15)
"""Years of age that pictures come in: few, because each needs a scene of its own."""
_OLD = {"satellite": (0.45, 0.3, 0.15, 0.1), "uav": (0.6, 0.25, 0.1, 0.05)}
"""Chance of each age: overhead imagery lags behind; whoever stands in the street sees today."""


@dataclass(frozen=True, kw_only=True)
class Conditions(Record):
    season: Season = "summer"
    snow: bool = False
    sun_azimuth_deg: float = 160.0
    """Where the sun stands, clockwise from north."""
    sun_altitude_deg: float = 45.0
    cloud: float = 0.2
    """0 clear to 1 overcast; from 0.8 there are no shadows."""
    visibility_m: float = 8000.0
    """Distance at which two thirds of the light come from the haze."""
    age_years: int = 0
    """One of ``AGES``: what was built, planted or opened since then is not there yet."""
    exposure: float = 1.0
    warmth: float = 0.0
    """White balance: red up and blue down by this part."""
    blur_px: float = 0.35
    noise: float = 0.008
    """Standard deviation, of full scale."""
    vignette: float = 0.0
    jpeg: int = 90
    seed: int = 0
    """For clouds, grain, curtains, and cars that happen to stand there."""

    @classmethod
    def drawn(cls, seed: int, *, view: ViewName = "ground", lat: float = 45.0) -> Conditions:
        """Conditions of one picture: date and hour give the season and, with the latitude, the place of the sun."""
        rng = generator("conditions", seed, view)
        day = int(rng.integers(0, 365))
        altitude, azimuth = _daylight(rng, lat, day)
        overhead = view in ("satellite", "uav")
        season = _season(day, lat)
        cold = season == "winter" and abs(lat) > 38 and rng.random() < (0.15 if overhead else 0.3)
        cloud = float(0.9 * rng.beta(0.7, 1.6)) if overhead else float(rng.beta(0.8, 1.1))
        return cls(
            season=season,
            snow=bool(cold),
            sun_azimuth_deg=azimuth,
            sun_altitude_deg=altitude,
            cloud=cloud,
            visibility_m=float(np.exp(rng.uniform(np.log(2500 if overhead else 900), np.log(25000)))),
            age_years=int(rng.choice(AGES, p=_OLD[view])) if view in _OLD else 0,
            exposure=float(np.exp(rng.normal(0, 0.12))),
            warmth=float(rng.normal(0, 0.045)),
            blur_px=float(rng.uniform(0.0, 0.8)),
            noise=float(rng.uniform(0.002, 0.02)),
            vignette=0.0 if view == "satellite" else float(rng.uniform(0, 0.3)),
            jpeg=int(rng.integers(70, 96)),
            seed=int(rng.integers(0, 2**31)),
        )

    @property
    def sun(self) -> tuple[float, float, float]:
        """Unit vector towards the sun: east, north, up."""
        a, h = math.radians(self.sun_azimuth_deg), math.radians(self.sun_altitude_deg)
        return math.sin(a) * math.cos(h), math.cos(a) * math.cos(h), math.sin(h)

    @property
    def direct(self) -> float:
        """Part of the direct sunlight that comes through, 0..1."""
        return float(np.clip((0.8 - self.cloud) / 0.5, 0.0, 1.0))


def _season(day: int, lat: float) -> Season:
    names: tuple[Season, ...] = ("winter", "spring", "summer", "autumn")
    if abs(lat) < 23:
        return "summer"
    turned = (day + 10 + (183 if lat < 0 else 0)) % 365
    return names[min(3, int(turned / 91.25))]


def _daylight(rng: np.random.Generator, lat: float, day: int) -> tuple[float, float]:
    """Altitude and azimuth at some hour of the day with the sun well up; at noon where it never is."""
    for hour in rng.uniform(8.0, 17.0, size=12):
        altitude, azimuth = sun_position(lat, day, float(hour))
        if altitude > 14.0:
            return altitude, azimuth
    altitude, azimuth = sun_position(lat, day, 12.0)
    return max(altitude, 6.0), azimuth


def sun_position(lat: float, day: int, hour: float) -> tuple[float, float]:
    """Altitude and azimuth in degrees at a solar hour (12 is noon) of a day of the year (0 is January 1)."""
    tilt = math.radians(-23.44) * math.cos(2 * math.pi * (day + 10) / 365.0)
    phi, turn = math.radians(lat), math.radians(15.0 * (hour - 12.0))
    up = math.sin(phi) * math.sin(tilt) + math.cos(phi) * math.cos(tilt) * math.cos(turn)
    east = -math.cos(tilt) * math.sin(turn)
    north = math.cos(phi) * math.sin(tilt) - math.sin(phi) * math.cos(tilt) * math.cos(turn)
    return math.degrees(math.asin(up)), math.degrees(math.atan2(east, north)) % 360.0
