"""Sets are shared out to processes by neighbourhood, all of them once, and a killed process is one sentence."""

import os
from collections import deque
from itertools import pairwise

import pytest

from finetune.views import Scene
from finetune.views.places import grid_over, places
from finetune.views.workers import BATCH, batches, curve, in_processes, shares
from retriever.draw.fonts import Fonts
from retriever.errors import SourceError
from retriever.town import write_town


def test_the_curve_goes_from_neighbour_to_neighbour_through_every_square():
    squares = sorted(((x, y) for x in range(-8, 8) for y in range(-8, 8)), key=lambda at: curve(*at))
    assert len({curve(*at) for at in squares}) == 256
    quarter = [at for at in squares if at[0] < 0 and at[1] < 0]
    steps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(quarter)]
    assert steps == [1] * 63


def test_every_set_is_in_one_batch_and_a_batch_on_one_stage(tmp_path):
    scene = Scene.from_osm(write_town(tmp_path / "town.osm", seed=2001, blocks=3), fonts=Fonts.none_cjk())
    todo = list(enumerate(places(scene, grid_over(scene.box), n=60, seed=4)))
    work = batches(scene, todo)
    assert sorted(index for batch in work for index, _ in batch) == list(range(60))
    stages = [{scene.stage_key(*scene.frame.xy(p.lat, p.lon)) for _, p in batch} for batch in work]
    assert all(len(keys) == 1 for keys in stages)
    assert max(map(len, work)) <= BATCH
    visits = [next(iter(keys)) for keys in stages]
    assert sum(a != b for a, b in pairwise(visits)) == len(set(visits)) - 1
    parts = shares(work, 2)
    assert [batch for part in parts for batch in part] == work
    assert all(20 <= sum(map(len, part)) <= 40 for part in parts)


def test_more_processes_than_batches_leave_no_empty_share():
    assert shares([[(0, None)], [(1, None)]], 5) == [deque([[(0, None)]]), deque([[(1, None)]])]


@pytest.mark.slow
def test_an_idle_process_takes_over_and_all_is_done():
    parts = [deque([[1]]), deque([[1, 2], [1, 2, 3], [1, 2, 3, 4], [1] * 5])]
    assert sorted(in_processes(parts, len, int, ())) == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_killed_process_says_what_to_do():
    with pytest.raises(SourceError, match="fewer --jobs"):
        list(in_processes([deque([7])], os._exit, int, ()))
