"""What can be wrong with a case file."""

from __future__ import annotations

from retriever.errors import SightlineError


class CaseError(SightlineError):
    """A thread that cannot be exported, or a file that is no case file."""


class Tampered(CaseError):
    """A case file that is not as it was written."""

    exit_code = 5
    status = 422
