"""Whether a case file is as it was written, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.casefile.archive import SIGNATURE, read, unpack
from agent.casefile.errors import Tampered
from agent.casefile.signing import check
from retriever.types import Record


@dataclass(frozen=True, kw_only=True)
class Verified(Record):
    """A case file that is whole."""

    path: str
    digest: str
    """SHA-256 over the manifest. Equal digests: equal cases. Whoever rewrites a case as a whole gets another one."""
    entries: int
    size: int
    """Bytes of the file."""
    signature: str
    """What is known about who wrote it, in one sentence."""


def verify_bytes(
    data: bytes, *, where: str = "the archive", key: Path | None = None, digest: str | None = None
) -> tuple[Verified, dict[str, bytes]]:
    """The check of :func:`verify_case` on bytes, with the entries."""
    entries, manifest = unpack(data, where)
    found: str = manifest["digest"]
    if digest is not None and digest.strip().lower() != found:
        raise Tampered(f"{where} is another case than the one expected: its digest is {found}")
    signature = check(entries.get(SIGNATURE), found, key, where)
    listed = len(manifest["entries"])
    return Verified(path=where, digest=found, entries=listed, size=len(data), signature=signature), entries


def verify_case(path: Path | str, *, key: Path | None = None, digest: str | None = None) -> Verified:
    """A case file that is byte for byte as it was written.

    ``key`` is the public key (PEM) or the secret that must have signed it, ``digest`` the one noted when it was
    exported. Without either, a case that somebody rewrote as a whole, manifest and all, cannot be told from a new one.
    Raises ``CaseError`` for what is no case file, ``Tampered`` for one that was changed.
    """
    return verify_bytes(read(path), where=str(path), key=key, digest=digest)[0]
