"""Case files: one thread as one archive that can be checked, printed, opened in other tools and played again.

* :func:`agent.casefile.export.export_case` writes it (:func:`~agent.casefile.export.case_bytes` gives the bytes),
* :func:`agent.casefile.check.verify_case` says whether it is as it was written,
* :func:`agent.casefile.replay.replay_case` recomputes its verdicts and says what changed.

docs/casefiles.md has the format.
"""

from __future__ import annotations

from agent.casefile.check import Verified, verify_bytes, verify_case
from agent.casefile.errors import CaseError, Tampered
from agent.casefile.export import case_bytes, export_case
from agent.casefile.replay import Replay, replay_case

__all__ = [
    "CaseError",
    "Replay",
    "Tampered",
    "Verified",
    "case_bytes",
    "export_case",
    "replay_case",
    "verify_bytes",
    "verify_case",
]
