"""Five aligned views of one place, rendered from a map: satellite-like, drone, ground photo, panorama, street map.

Synthetic pictures: the map says what stands where; colours, windows, cars and weather are made up by seed.
"""

from finetune.views.conditions import Conditions
from finetune.views.poses import SIZES, VIEWS, Pose, ViewName
from finetune.views.scene import Scene
from finetune.views.sets import RenderedView, ViewSet, render_set

__all__ = ["SIZES", "VIEWS", "Conditions", "Pose", "RenderedView", "Scene", "ViewName", "ViewSet", "render_set"]
