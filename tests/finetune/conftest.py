"""What several files of this room's tests stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from annotate_fakes import FakeEndpoint


@pytest.fixture
def endpoint() -> Iterator[Callable[..., FakeEndpoint]]:
    """Starts endpoints that are stopped at the end of the test."""
    from annotate_fakes import FakeEndpoint

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(FakeEndpoint(**options).running())
