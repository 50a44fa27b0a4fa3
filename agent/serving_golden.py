"""That a server gives the numbers that the bundle was exported with, and that its adapter is at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prompts.clients.base import ChatClient
from prompts.clients.golden import Golden, load_golden, probabilities
from retriever.errors import ModelError

TOLERANCE = 0.01
"""Mean absolute difference of probabilities that a server may show."""
MIN_CHANGE = 0.001
"""The adapter must move at least one golden probability by this much."""


@dataclass(frozen=True, kw_only=True)
class GoldenReport:
    n: int
    mean_abs_diff: float
    adapter_change: float | None
    """Largest change of a probability by the adapter. None: there was no base to compare with."""


async def check_golden(
    client_with_adapter: ChatClient,
    client_base: ChatClient | None,
    golden: Golden,
    *,
    limit: int = 8,
    beside: Sequence[ChatClient] = (),
) -> GoldenReport:
    """Ask the first ``limit`` requests; adapters ``beside`` the judge's must only differ from the base.

    Raises ``ModelError`` where the answers differ or an adapter is idle.
    """
    requests, expected = golden.requests[:limit], golden.p[:limit]
    if not requests:
        raise ModelError("the bundle's golden file is empty; export the bundle again")
    found = await probabilities(client_with_adapter, requests)
    difference = sum(abs(a - b) for a, b in zip(found, expected, strict=True)) / len(found)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{client_with_adapter.name} is off by {difference:.4f} on average from the bundle's golden answers "
            f"(at most {TOLERANCE}); its weights, adapter or templates are not those that were exported"
        )
    change = None
    if client_base is not None:
        plain = await probabilities(client_base, requests)
        change = _change(client_with_adapter, found, plain)
        for other in beside:
            _change(other, await probabilities(other, requests), plain)
    return GoldenReport(n=len(found), mean_abs_diff=difference, adapter_change=change)


def _change(client: ChatClient, found: Sequence[float], plain: Sequence[float]) -> float:
    change = max(abs(a - b) for a, b in zip(found, plain, strict=True))
    if not change >= MIN_CHANGE:
        raise ModelError(f"{client.name} answers like its base: the adapter was not applied")
    return change


__all__ = ["Golden", "GoldenReport", "check_golden", "load_golden"]
