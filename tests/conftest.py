"""Every test starts from the same settings, whatever the user's own are, and keeps its files to itself."""

import os

import pytest
from hypothesis import settings

KEPT = {"SIGHTLINE_DATA", "SIGHTLINE_MODELS", "SIGHTLINE_REQUIRE_VLLM", "SIGHTLINE_CJK_FONT"}

# A busy machine is no failure: the run's own time limit is the only one.
settings.register_profile("sightline", deadline=None)
settings.load_profile("sightline")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path_factory):
    for name in [n for n in os.environ if n.startswith("SIGHTLINE_") and n not in KEPT]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(tmp_path_factory.mktemp("data")))
