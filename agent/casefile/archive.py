"""A case file as bytes: a zip whose every byte follows from its entries, so that any other byte shows.

Entries are stored uncompressed, sorted by name, with one fixed date. Reading builds the archive again from what it
holds and compares, so a changed header or something appended is found like a changed entry, a compressed entry is
refused unread (there are no zip bombs), and nothing is ever unpacked onto the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.casefile.errors import CaseError, Tampered
from retriever.types import canonical_json

FORMAT = "sightline-case/1"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
MAX_BYTES = 1 << 28
MAX_ENTRIES = 4_000
_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_DATE = (1980, 1, 1, 0, 0, 0)
_QUOTED = 60

Entries = Mapping[str, bytes]


def json_bytes(value: Any) -> bytes:
    """JSON for people and programs: sorted keys, one form for one value."""
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def digest_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over the manifest without the digest itself: what names a case and what is signed."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def with_manifest(entries: Entries) -> dict[str, bytes]:
    """The entries with the manifest that lists them."""
    listed = {name: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for name, d in sorted(entries.items())}
    manifest = {"format": FORMAT, "entries": listed}
    return {**entries, MANIFEST: json_bytes({**manifest, "digest": digest_of(manifest)})}


def pack(entries: Entries) -> bytes:
    """The archive of these entries; the same entries give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _DATE)
            # The system that made the file is part of it and must not depend on the system.
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, entries[name])
    return out.getvalue()


def write_once(path: Path, data: bytes, *, force: bool = False) -> Path:
    """The file whole or not at all; an older one stays unless ``force``. Raises ``CaseError``."""
    if path.exists() and not force:
        raise CaseError(f"{path} is there already; give another name, or --force to replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise CaseError(f"{path} cannot be written ({error.strerror or error}); choose another folder") from None
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _place(part, path, force)
    except OSError as error:
        raise CaseError(f"{path} cannot be written ({error.strerror or error}); make room") from None
    finally:
        part.unlink(missing_ok=True)
    return path


def _place(part: Path, path: Path, force: bool) -> None:
    if force:
        os.replace(part, path)
        return
    try:
        # A link is refused where somebody else has written the name meanwhile; a rename would replace it.
        os.link(part, path)
    except FileExistsError:
        raise CaseError(f"{path} is there already; give another name, or --force to replace it") from None
    except OSError:
        # A file system without links.
        os.replace(part, path)


def read(path: Path | str) -> bytes:
    """The file's bytes. Raises ``CaseError`` where there is none or it is too large."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CaseError(f"{path} has {size:,} bytes, and a case file has at most {MAX_BYTES:,}; it is none")
        return path.read_bytes()
    except OSError as error:
        raise CaseError(f"the case file {path} cannot be read ({error.strerror or error})") from None


def unpack(data: bytes, where: str = "the archive") -> tuple[dict[str, bytes], dict[str, Any]]:
    """Entries and manifest of an archive that is exactly as :func:`pack` wrote it.

    Raises ``CaseError`` for what is no case file at all and ``Tampered`` for one that was changed.
    """
    entries = _entries(data, where)
    manifest = _manifest(entries, where)
    listed: dict[str, Any] = manifest["entries"]
    own = {name for name in entries if name not in (MANIFEST, SIGNATURE)}
    _compare_names(own, set(listed), where)
    for name in sorted(own):
        if listed[name].get("sha256") != hashlib.sha256(entries[name]).hexdigest():
            raise Tampered(f"{where} was changed after it was written: the entry {_short(name)} differs")
    if pack(entries) != data:
        raise Tampered(f"{where} was changed after it was written: it holds bytes that belong to no entry")
    return entries, manifest


def _entries(data: bytes, where: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_ENTRIES:
                raise Tampered(f"{where} is refused: it holds {len(infos)} entries, and at most {MAX_ENTRIES} are read")
            if sum(info.file_size for info in infos) > len(data):
                raise Tampered(f"{where} is refused: its entries claim to be larger than the file itself")
            found: dict[str, bytes] = {}
            for info in infos:
                _check(info, found, where)
                found[info.filename] = archive.read(info)
            return found
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, OverflowError) as error:
        what = "a damaged or changed case file" if data[:4] == b"PK\x03\x04" else "no case file"
        raise Tampered(f"{where} is {what} ({error})") from None
    except (NotImplementedError, RuntimeError, UnicodeError) as error:
        raise Tampered(f"{where} is refused: an entry cannot be read ({error})") from None


def _check(info: zipfile.ZipInfo, found: Entries, where: str) -> None:
    name = _short(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not _NAME.fullmatch(info.filename) or ".." in info.filename:
        raise Tampered(f"{where} is refused: the entry {name} has a name that no case file uses")
    if info.filename in found:
        raise Tampered(f"{where} was changed after it was written: it holds {name} twice")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1 or info.compress_size != info.file_size:
        raise Tampered(f"{where} is refused: the entry {name} is compressed or encrypted, which no case file's is")
    if kind not in (0, stat.S_IFREG):
        raise Tampered(f"{where} is refused: the entry {name} is a link or no plain file")


def _manifest(entries: Entries, where: str) -> dict[str, Any]:
    if MANIFEST not in entries:
        raise Tampered(f"{where} holds no {MANIFEST}: it is no case file, or the manifest was removed")
    try:
        manifest = json.loads(entries[MANIFEST])
        if manifest["format"] != FORMAT:
            raise CaseError(f"{where} has the format {manifest['format']!r:.40}, and this Sightline reads {FORMAT!r}")
        fits = manifest["digest"] == digest_of(manifest) and json_bytes(manifest) == entries[MANIFEST]
        fits = fits and all(isinstance(e, dict) for e in manifest["entries"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Tampered(f"{where} was changed after it was written: its {MANIFEST} cannot be read") from None
    if not fits:
        raise Tampered(f"{where} was changed after it was written: its {MANIFEST} does not fit its own digest")
    checked: dict[str, Any] = manifest
    return checked


def _compare_names(own: set[str], listed: set[str], where: str) -> None:
    missing, strange = sorted(listed - own), sorted(own - listed)
    if missing and strange:
        told = f"the entry {_short(missing[0])} is gone and {_short(strange[0])} was put there"
    elif missing:
        told = f"the entry {_short(missing[0])} was removed"
    elif strange:
        told = f"the entry {_short(strange[0])} was added"
    else:
        return
    raise Tampered(f"{where} was changed after it was written: {told}")


def _short(name: str) -> str:
    with contextlib.suppress(UnicodeEncodeError):
        name.encode()
        return repr(name if len(name) <= _QUOTED else name[: _QUOTED - 1] + "…")
    return ascii(name)[:_QUOTED]
