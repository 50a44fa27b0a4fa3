"""Who may ask: API keys, of which only hashes are kept, and what each key's user may do."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.api.limits import Quota
from retriever.errors import SightlineError

SETTING = "SIGHTLINE_API_KEYS"
"""``NAME=KEY;NAME=KEY``; a key may also be given as its hash, ``sha256:HEX``."""
LEAST_KEY = 20
"""Characters; shorter keys can be tried out."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


class KeysError(SightlineError):
    """Keys that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks."""

    user: str
    """Owner of threads and uploads; empty for the one user of a desk without keys."""
    bucket: str
    """What the rate limits count by: one key."""
    quota: Quota = field(default_factory=Quota)
    galleries: frozenset[str] | None = None
    """Ids of the galleries that this user may see; None: all that are served."""

    def sees(self, gallery: str) -> bool:
        return self.galleries is None or gallery in self.galleries


LOCAL = Principal(user="", bucket="local", quota=Quota(requests="6000/minute", turns="600/minute", upload_mb=2000))
"""The one user of a desk that listens on loopback without keys; threads of the command line are this user's too."""


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """Hashes of keys with their users. Empty: no key is asked for."""

    entries: tuple[tuple[bytes, Principal], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entries)

    def find(self, key: str) -> Principal | None:
        """Whose key this is. Every entry is compared, in constant time, so that timing tells nothing."""
        given, found = _digest(key), None
        for known, principal in self.entries:
            if hmac.compare_digest(known, given):
                found = principal
        return found

    @classmethod
    def load(cls, path: Path | None, env: Mapping[str, str] = os.environ) -> Keyring:
        """Keys of a TOML file and of :data:`SETTING`. Raises ``KeysError``; keys themselves never get into a message.

        The file has a table for each user: ``[ann]``, ``sha256 = "HEX"`` (or a list of them), and, optionally,
        ``galleries = ["ID"]``, ``requests = "120/minute"``, ``turns = "20/minute"``, ``upload_mb = 200``.
        """
        entries = list(_from_file(path)) if path is not None else []
        entries += _from_env(env.get(SETTING, ""))
        if path is not None and not entries:
            raise KeysError(f"the keys file {path} holds no key; add one with --new-key NAME")
        return cls(entries=tuple(entries))


def new_key(name: str, path: Path) -> str:
    """Makes a key for ``name``, adds its hash to the file and gives the key itself, which is kept nowhere."""
    _checked(name)
    known = list(_from_file(path)) if path.exists() else []
    if any(principal.user == name for _, principal in known):
        raise KeysError(f"{path} has a key for {name!r} already; take its table out first, or choose another name")
    key = f"sl_{secrets.token_urlsafe(32)}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(f'[{name}]\nsha256 = "{_digest(key).hex()}"\n\n')
    except OSError as error:
        raise KeysError(f"the keys file {path} cannot be written ({error.strerror}); choose another place") from None
    return key


def _from_file(path: Path) -> Iterable[tuple[bytes, Principal]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise KeysError(f"the keys file {path} cannot be read ({reason}); see docs/api.md for its form") from None
    for name, table in tables.items():
        yield from _of_user(name, table, path)


def _of_user(name: str, table: Any, path: Path) -> Iterable[tuple[bytes, Principal]]:
    _checked(name)
    known = {"sha256", "galleries", "requests", "turns", "upload_mb"}
    if not isinstance(table, dict) or set(table) - known:
        raise KeysError(f"[{name}] in {path} may hold only {', '.join(sorted(known))}")
    hashes = table.get("sha256")
    hashes = [hashes] if isinstance(hashes, str) else hashes
    if not isinstance(hashes, list) or not hashes or not all(_HASH.fullmatch(f"sha256:{h}") for h in hashes):
        raise KeysError(f"[{name}] in {path} needs sha256 = 64 hex digits of the key's hash; make one with --new-key")
    galleries = table.get("galleries")
    if galleries is not None and not (isinstance(galleries, list) and all(isinstance(g, str) for g in galleries)):
        raise KeysError(f"galleries of [{name}] in {path} must be a list of gallery ids")
    quota = Quota.of({k: table[k] for k in ("requests", "turns", "upload_mb") if k in table}, f"[{name}] in {path}")
    for text in hashes:
        yield _entry(name, bytes.fromhex(text), quota, None if galleries is None else frozenset(galleries))


def _from_env(text: str) -> Iterable[tuple[bytes, Principal]]:
    for number, pair in enumerate((p for p in text.split(";") if p.strip()), 1):
        name, _, key = pair.strip().partition("=")
        _checked(name)
        written = _HASH.fullmatch(key)
        if written is None and len(key) < LEAST_KEY:
            raise KeysError(f"key {number} of {SETTING} is shorter than {LEAST_KEY} characters; take a longer one")
        yield _entry(name, bytes.fromhex(written[1]) if written else _digest(key), Quota(), None)


def _entry(
    name: str, digest: bytes, quota: Quota, galleries: frozenset[str] | None
) -> tuple[bytes, Principal]:  # fmt: skip
    return digest, Principal(user=name, bucket=digest.hex()[:16], quota=quota, galleries=galleries)


def _digest(key: str) -> bytes:
    # Keys are long and random, so one round is enough: there is nothing to guess.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _checked(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise KeysError("a user's name has 1 to 64 letters, digits, _ or -, and begins with a letter or digit")
