"""Which endpoint plays which part, how fast it may be asked, and what its tokens cost: one YAML file."""

from __future__ import annotations

import os
from pathlib import Path

import pydantic
import yaml

from retriever.errors import SightlineError

EXAMPLE = Path(__file__).with_name("example.yaml")
PARTS = ("producer", "inspector", "annotator_a", "annotator_b", "paraphraser")


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Prices(_Strict):
    """Money for a million tokens, in the file's currency."""

    prompt: float = pydantic.Field(ge=0)
    completion: float = pydantic.Field(ge=0)

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What a call costs.

        >>> Prices(prompt=2.0, completion=10.0).of(500_000, 100_000)
        2.0
        """
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class Endpoint(_Strict):
    """Any server that speaks the OpenAI chat API."""

    base_url: str = pydantic.Field(pattern=r"^https?://\S+$")
    model: str = pydantic.Field(min_length=1)
    prices: Prices
    key_env: str = ""
    """Name of the environment variable that holds the key; the key itself never stands in a file."""
    requests_per_minute: int = pydantic.Field(default=60, ge=1)
    tokens_per_minute: int = pydantic.Field(default=100_000, ge=1)
    concurrency: int = pydantic.Field(default=4, ge=1)
    timeout_s: float = pydantic.Field(default=180.0, gt=0)
    retries: int = pydantic.Field(default=6, ge=0)
    """Further attempts after a refusal or a broken connection."""
    json_schema: bool = True
    """Whether the server takes ``response_format: json_schema``; else the prompt alone asks for JSON."""
    proxy: str = ""
    """Address of an HTTP proxy; those of the environment are not used."""
    pixels_per_token: float = pydantic.Field(default=750.0, gt=0)
    """For estimates before the server counts: pixels of a picture that cost one token."""

    def key(self) -> str:
        """The key, empty where none is named. Raises ``SightlineError`` if the variable is not set."""
        if not self.key_env:
            return ""
        value = os.environ.get(self.key_env, "")
        if not value:
            raise SightlineError(
                f"the environment variable {self.key_env} is not set; put the key for {self.base_url} there"
            )
        return value


class Config(_Strict):
    endpoints: dict[str, Endpoint]
    currency: str = "USD"
    budget: float = pydantic.Field(ge=0)
    """All that a run's folder may ever cost."""
    sample: float = pydantic.Field(default=0.2, ge=0, le=1)
    """Share of what passed that people read all the same."""
    rounds: int = pydantic.Field(default=2, ge=1, le=5)
    """How often the producer may write before a description counts as rejected."""

    @pydantic.model_validator(mode="after")
    def _known(self) -> Config:
        unknown = sorted(set(self.endpoints) - set(PARTS))
        if unknown:
            raise ValueError(f"there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
        return self

    def part(self, name: str) -> Endpoint:
        """Raises ``SightlineError`` if the file names no endpoint for this part."""
        if name not in self.endpoints:
            raise SightlineError(f"the configuration names no endpoint for the part {name!r}; add it under endpoints")
        return self.endpoints[name]


def load_config(path: Path) -> Config:
    """Raises ``SightlineError`` that names the field that is wrong."""
    try:
        return Config.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SightlineError(f"{path} cannot be read ({error.strerror}); {EXAMPLE} is an example to copy") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SightlineError(f"{path} is not YAML ({' '.join(str(error).split())}); {EXAMPLE} is an example") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise SightlineError(f"{path} is wrong at {where}: {first['msg']}; {EXAMPLE} is an example") from None
