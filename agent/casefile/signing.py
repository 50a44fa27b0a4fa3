"""Who wrote it: an optional signature over a case's digest, by an Ed25519 key or a shared secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from agent.casefile.archive import json_bytes
from agent.casefile.errors import CaseError, Tampered

ED25519, HMAC = "ed25519", "hmac-sha256"
LEAST_SECRET = 16
_CONTEXT = b"sightline case "

Json = dict[str, Any]


def sign(digest: str, key: Path) -> bytes:
    """The entry that signs ``digest`` with an Ed25519 private key (PEM) or with a secret of 16 bytes or more."""
    raw = _read(key)
    if b"-----BEGIN" not in raw:
        return json_bytes({"algorithm": HMAC, "digest": digest, "signature": _mac(_secret(raw, key), digest)})
    try:
        private = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CaseError(f"{key} is no Ed25519 private key that can be read ({error}); make one with openssl") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise CaseError(f"{key} is a private key of another kind; make an Ed25519 one with openssl")
    signature = private.sign(_CONTEXT + digest.encode()).hex()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    return json_bytes({"algorithm": ED25519, "digest": digest, "signature": signature, "public_key": public})


def check(entry: bytes | None, digest: str, key: Path | None, where: str) -> str:
    """What can be said about the signature, in one sentence.

    Raises ``Tampered`` where it does not fit the case, or a ``key`` was given and it is not that key's.
    """
    if entry is None:
        if key is not None:
            raise Tampered(f"{where} carries no signature, and one by {key} was asked for")
        return "not signed: who wrote it is not proven"
    signature = _parsed(entry, where)
    if signature["digest"] != digest:
        raise Tampered(f"{where} was changed after it was written: its signature is of another case")
    if signature["algorithm"] == HMAC:
        return _check_secret(signature, digest, key, where)
    return _check_public(signature, digest, key, where)


def _check_secret(signature: Json, digest: str, key: Path | None, where: str) -> str:
    if key is None:
        return "signed with a shared secret, which was not given (--key), so the signature is not checked"
    if not hmac.compare_digest(signature["signature"], _mac(_secret(_read(key), key), digest)):
        raise Tampered(f"the signature of {where} was not made with the secret {key}")
    return f"signed with the secret {key}"


def _check_public(signature: Json, digest: str, key: Path | None, where: str) -> str:
    try:
        claimed = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"]))
        claimed.verify(bytes.fromhex(signature["signature"]), _CONTEXT + digest.encode())
    except (InvalidSignature, ValueError):
        raise Tampered(f"the signature of {where} does not fit its digest") from None
    if key is None:
        return f"signed with the Ed25519 key {fingerprint(claimed)}, whose owner was not checked (--key)"
    try:
        known = load_pem_public_key(_read(key))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CaseError(f"{key} is no public key that can be read ({error})") from None
    if not isinstance(known, Ed25519PublicKey) or fingerprint(known) != fingerprint(claimed):
        raise Tampered(f"{where} was signed with another key ({fingerprint(claimed)}) than {key}")
    return f"signed with the key {key} ({fingerprint(known)})"


def fingerprint(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the public key's SHA-256."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _parsed(entry: bytes, where: str) -> Json:
    try:
        found: Mapping[str, Any] = json.loads(entry)
        wanted = {ED25519: ("digest", "signature", "public_key"), HMAC: ("digest", "signature")}[found["algorithm"]]
        if not all(isinstance(found[name], str) for name in wanted):
            raise TypeError("no text")
        # One form for one signature: nothing can hide beside it.
        if json_bytes({name: found[name] for name in ("algorithm", *wanted)}) != entry:
            raise ValueError("another form")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Tampered(f"{where} was changed after it was written: its signature cannot be read") from None
    return dict(found)


def _mac(secret: bytes, digest: str) -> str:
    return hmac.new(secret, _CONTEXT + digest.encode(), hashlib.sha256).hexdigest()


def _secret(raw: bytes, key: Path) -> bytes:
    secret = raw.strip()
    if len(secret) < LEAST_SECRET:
        raise CaseError(f"the secret in {key} has {len(secret)} bytes; use {LEAST_SECRET} or more")
    return secret


def _read(key: Path) -> bytes:
    try:
        return key.read_bytes()
    except OSError as error:
        raise CaseError(f"the key {key} cannot be read ({error.strerror or error})") from None
