"""The folder beside a gallery in which it is built: a journal of what for, a lock, and one rename at the end."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from retriever.errors import GalleryError
from retriever.gallery import MANIFEST, TABLE, Gallery, read_manifest

JOURNAL, SPOOL, PARTS = "journal.json", "features.sqlite", "parts"


class WorkFolder:
    """``.NAME.partial`` next to ``NAME``. A context manager: it holds the folder's lock while a build runs."""

    def __init__(self, out: Path, key: str) -> None:
        self.out, self.key = out, key
        self.path = out.parent / f".{out.name}.partial"
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise GalleryError(f"another process is building {self.out} now: wait for it or stop it") from None
        self._keep_or_clear()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def _keep_or_clear(self) -> None:
        """Work of this very code for the same inputs and settings is kept, anything else is of no use."""
        journal = self.path / JOURNAL
        said = {"key": self.key, "code": _code_sha256()}
        if not journal.is_file() or not _says(journal, said):
            for entry in self.path.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            write_whole(journal, json.dumps(said) + "\n")
        (self.path / PARTS).mkdir(exist_ok=True)

    def part(self, block: int) -> Path:
        return self.path / PARTS / f"{block:09d}.parquet"

    def discard(self) -> None:
        """Removes the folder: what it was for cannot be built."""
        shutil.rmtree(self.path, ignore_errors=True)

    def publish(self) -> None:
        """Turns a finished folder (table and manifest written) into the gallery, in one step."""
        shutil.rmtree(self.path / PARTS, ignore_errors=True)
        (self.path / SPOOL).unlink(missing_ok=True)
        (self.path / JOURNAL).unlink(missing_ok=True)
        os.replace(self.path, self.out)

    @property
    def finished(self) -> bool:
        return (self.path / MANIFEST).is_file() and (self.path / TABLE).is_file()


def _says(journal: Path, said: dict[str, str]) -> bool:
    try:
        return bool(json.loads(journal.read_text(encoding="utf-8")) == said)
    except ValueError:
        return False


def _code_sha256() -> str:
    """Of everything that reads sources and draws: tiles of two versions must not mix in one gallery."""
    here = Path(__file__).parent
    files = sorted([*here.glob("*.py"), *here.glob("*.yaml"), *here.glob("sources/*.py"), *here.glob("draw/*.*")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def existing(out: Path, key: str) -> Gallery | None:
    """The finished gallery of these very inputs at ``out``; None where ``out`` is free.

    Raises:
        GalleryError: something else is there.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / MANIFEST).is_file():
        raise GalleryError(f"{out} exists and is not a gallery: choose another folder")
    manifest = read_manifest(out)
    if manifest.get("key") != key:
        raise GalleryError(
            f"{out} holds the gallery {manifest.get('id')!r}, built from other inputs or settings: "
            "choose another folder or delete that one"
        )
    return Gallery.open(out)


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all, also after a crash."""
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turns what a disk says into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise _full(out) from error
        raise GalleryError(f"{out} cannot be written ({error.strerror or error}): choose another folder") from error
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise _full(out) from error
        raise GalleryError(f"the work folder of {out} cannot be written ({error}): choose another folder") from error


def _full(out: Path) -> GalleryError:
    return GalleryError(
        f"the disk is full, so {out} is not finished: free some space and run the same command again (finished tiles "
        "are kept)"
    )
