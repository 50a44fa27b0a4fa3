"""What a user or an operator may set: by environment (``SIGHTLINE_...``) or by option, options first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.judged import Reasons

Backend = Literal["auto", "vllm", "transformers", "none"]
Shown = Literal["en", "zh", "both"]


def _user_data() -> Path:
    """Where this user's own data belongs on this platform."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "sightline"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "sightline"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "sightline"


class Settings(BaseSettings):
    """Settings of the agent; every field can be set as ``SIGHTLINE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="SIGHTLINE_", extra="ignore")

    data_dir: Path = Field(default_factory=_user_data)
    """Threads, pictures and the demo's gallery live here; readable by this user alone."""
    server: str | None = None
    """Base URL of an OpenAI-style server that already runs, for example ``http://127.0.0.1:8000/v1``."""
    backend: Backend = "auto"
    """Where the judge runs when no server is named."""
    claims: str | None = None
    """``URL|model`` of a chat model that reads claims in place of the rules; its key is SIGHTLINE_CLAIMS_KEY."""
    encoder: str = "sightline-mini"
    """The encoder that the gallery was indexed with: a shipped model, a folder, or an open_clip name."""
    device: str = "auto"
    """Where the encoder computes: ``auto`` (CUDA where torch sees it, else the CPU), ``cpu``, ``cuda``, ``cuda:N``."""
    reranker: str = "cascade"
    """How the shortlist is ordered; ``docs/rerankers.md`` lists the names."""
    shortlist: int = Field(default=10, ge=1, le=1000)
    """How many retrieved tiles the judge looks at."""
    top: int = Field(default=3, ge=0, le=100)
    """How many candidates are shown and explained."""
    reasons: Reasons = "auto"
    """How they are explained: ``read`` off the judge, ``written`` by it, or ``auto``, read where it was taught that."""
    lang: Shown = "both"

    def folder(self, name: str) -> Path:
        """A folder of the data directory, made on first use."""
        path = self._home() / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def database(self) -> Path:
        """The SQLite file with every thread's checkpoints."""
        return self._home() / "threads.sqlite"

    def _home(self) -> Path:
        """What an analyst asks is nobody else's business: the folder opens for its owner only."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.data_dir
