"""Every test starts from the same settings, whatever the user's own are, and keeps its files to itself."""

import os

import pytest
from hypothesis import settings

KEPT = {
    "SIGHTLINE_DATA", "SIGHTLINE_DATA_DIR", "SIGHTLINE_DEVICE", "SIGHTLINE_MODELS", "SIGHTLINE_REQUIRE_VLLM",
    "SIGHTLINE_CJK_FONT",
}  # fmt: skip

# A busy machine is no failure: the run's own time limit is the only one.
settings.register_profile("sightline", deadline=None)
settings.load_profile("sightline")


@pytest.fixture(scope="session", autouse=True)
def own_files_of_the_run(tmp_path_factory):
    """A data folder and the CPU for the run; a module or test that wants its own sets it over this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_DEVICE", "cpu")
        patch.setenv("SIGHTLINE_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def own_settings(monkeypatch):
    for name in [n for n in os.environ if n.startswith("SIGHTLINE_") and n not in KEPT]:
        monkeypatch.delenv(name)
