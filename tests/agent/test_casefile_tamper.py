"""A case file that was changed in any way is recognised, said in one sentence, and never unpacked."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import stat
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from case_kit import context_of, entries_of
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever

from agent.casefile import CaseError, Tampered, archive, case_bytes, verify_bytes, verify_case
from agent.casefile.signing import sign
from agent.desk import open_desk
from retriever.main import main

Entries = dict[str, bytes]


@cache
def case(text: str = "There is a church here and a cafe.") -> bytes:
    """A small case, exported once."""

    async def made() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            gallery = FakeGallery(Path(folder))
            context = context_of(gallery, FakeJudge(), Path(folder), FakeRetriever(gallery))
            async with open_desk(context, Path(folder) / "threads.sqlite") as desk:
                await desk.locate(text, thread="t")
                return await case_bytes(desk, "t")

    return asyncio.run(made())


def refused(data: bytes, says: str) -> None:
    with pytest.raises(CaseError, match=says) as told:
        verify_bytes(data, where="case.zip")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


def repacked(change: Callable[[Entries], None]) -> bytes:
    entries = entries_of(case())
    change(entries)
    return archive.pack(entries)


def zipped(entries: dict[str, bytes], **how: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **how) as made:  # type: ignore[call-overload]
        for name, data in entries.items():
            made.writestr(name, data)
    return out.getvalue()


def test_an_unchanged_case_passes() -> None:
    assert verify_bytes(case())[0].entries == len(entries_of(case())) - 1


def test_any_changed_byte_is_recognised() -> None:
    data, rng = case(), random.Random(7)
    ends = [0, 1, len(data) - 1, len(data) - 22, data.rfind(b"PK\x01\x02") + 40]
    for at in [*ends, *(rng.randrange(len(data)) for _ in range(150))]:
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        with pytest.raises(CaseError):
            verify_bytes(bytes(changed))


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -50])
def test_a_shortened_file_is_recognised(cut: int) -> None:
    refused(case()[:cut], "no case file|damaged or changed")


@pytest.mark.parametrize("added", [b"\0", b"PK\x05\x06" + b"\0" * 18, b"hello" * 99])
def test_bytes_before_or_after_are_recognised(added: bytes) -> None:
    for data in (case() + added, added + case()):
        with pytest.raises(CaseError):
            verify_bytes(data)


def test_a_changed_entry_is_named() -> None:
    refused(repacked(lambda e: e.update({"claims.json": e["claims.json"] + b" "})), r"'claims.json' differs")


def test_a_removed_entry_is_named() -> None:
    refused(repacked(lambda e: e.pop("posterior.json") and None), r"'posterior.json' was removed")


def test_an_added_entry_is_named() -> None:
    refused(repacked(lambda e: e.update({"extra.txt": b"x"})), r"'extra.txt' was added")


def test_a_renamed_entry_is_named() -> None:
    def rename(entries: Entries) -> None:
        entries["trace2.json"] = entries.pop("trace.json")

    refused(repacked(rename), r"'trace.json' is gone and 'trace2.json' was put there")


def test_two_entries_with_their_names_exchanged_are_recognised() -> None:
    def swap(entries: Entries) -> None:
        entries["tiles/t-a.png"], entries["tiles/t-b.png"] = entries["tiles/t-b.png"], entries["tiles/t-a.png"]

    refused(repacked(swap), r"differs")


def test_the_manifest_of_another_case_is_recognised() -> None:
    other = entries_of(case("There is a pharmacy here."))["manifest.json"]
    refused(repacked(lambda e: e.update({"manifest.json": other})), "differs|was removed|is gone")


def test_a_manifest_that_was_edited_is_recognised() -> None:
    def edit(entries: Entries) -> None:
        manifest = json.loads(entries["manifest.json"])
        entries["claims.json"] = b"[]"
        manifest["entries"]["claims.json"] = {"sha256": hashlib.sha256(b"[]").hexdigest(), "bytes": 2}
        entries["manifest.json"] = archive.json_bytes(manifest)

    refused(repacked(edit), "does not fit its own digest")
    refused(repacked(lambda e: e.pop("manifest.json") and None), "no manifest.json")


def test_a_case_rewritten_as_a_whole_has_another_digest_and_no_valid_signature(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a shared secret of the office")
    noted = verify_bytes(case())[0].digest
    rest = {k: v for k, v in entries_of(case()).items() if k not in ("manifest.json", "claims.json")}
    forged = archive.pack(archive.with_manifest({**rest, "claims.json": b"[]"}))
    assert verify_bytes(forged)[0].digest != noted
    with pytest.raises(Tampered, match="another case"):
        verify_bytes(forged, digest=noted)
    with pytest.raises(Tampered, match="carries no signature"):
        verify_bytes(forged, key=secret)
    kept = archive.pack({**entries_of(forged), archive.SIGNATURE: sign(noted, secret)})
    refused(kept, "its signature is of another case")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "/etc/passwd",
        "a/../../b",
        "C:\\x",
        "tiles/../x",
        "a\\b",
        "..",
        "tiles/",
        "x/y/z",
        "ä",
        ".hidden",
        "a\nb",
        "a b",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    rest = {k: v for k, v in entries_of(case()).items() if k != archive.MANIFEST}
    refused(archive.pack(archive.with_manifest({**rest, name: b"x"})), "a name that no case file uses")
    assert list(tmp_path.iterdir()) == []


def test_a_zip_bomb_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped({"manifest.json": b"\0" * 50_000_000}, compression=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *a: pytest.fail("a bomb was unpacked"))
    refused(bomb, "larger than the file itself|compressed")


def test_entries_that_share_their_bytes_are_refused() -> None:
    """An archive whose directory names one stored entry many times."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        made.writestr("a", b"x" * 100_000)
        first = made.infolist()[0]
        for number in range(50):
            twin = zipfile.ZipInfo(f"b{number}")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(twin, field, getattr(first, field))
            made.filelist.append(twin)
            made.NameToInfo[twin.filename] = twin
    refused(out.getvalue(), "larger than the file itself")


def test_too_many_entries_doubles_links_and_encryption_are_refused() -> None:
    refused(zipped({f"e{n}": b"" for n in range(archive.MAX_ENTRIES + 1)}), "entries")
    out = io.BytesIO(case())
    with zipfile.ZipFile(out, "a") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("claims.json", b"[]")
    refused(out.getvalue(), "twice")
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(link, "/etc/passwd")
    refused(out.getvalue(), "a link or no plain file")
    data = bytearray(case())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    refused(bytes(data), "compressed or encrypted")


@pytest.mark.parametrize("junk", [b"", b"hello", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, bytes(range(256)) * 40])
def test_what_is_no_case_file_is_refused(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.zip"
    path.write_bytes(junk)
    with pytest.raises(CaseError):
        verify_case(path)


def test_a_whole_archive_with_other_content_is_no_case(tmp_path: Path) -> None:
    from agent.casefile.case import open_case

    path = tmp_path / "other.zip"
    for broken in (b"[]", b"{}", b"null", b'{"a": 1}', b"[" * 5000):
        rest = {k: v for k, v in entries_of(case()).items() if k != "manifest.json"}
        path.write_bytes(archive.pack(archive.with_manifest({**rest, "candidates.json": broken})))
        with pytest.raises(CaseError, match="not a case"):
            open_case(path)


def test_signatures_say_who_wrote_it(tmp_path: Path) -> None:
    private, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    files = {}
    for name, key in (("mine", private), ("theirs", stranger)):
        files[name] = tmp_path / f"{name}.pem"
        files[name].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files[f"{name}.pub"] = tmp_path / f"{name}.pub"
        files[f"{name}.pub"].write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    digest = verify_bytes(case())[0].digest
    signed = archive.pack({**entries_of(case()), archive.SIGNATURE: sign(digest, files["mine"])})
    assert "owner was not checked" in verify_bytes(signed)[0].signature
    assert "signed with the key" in verify_bytes(signed, key=files["mine.pub"])[0].signature
    with pytest.raises(Tampered, match="another key"):
        verify_bytes(signed, key=files["theirs.pub"])
    for wrong in (files["mine"], tmp_path / "nowhere.pem"):
        with pytest.raises(CaseError):
            verify_bytes(signed, key=wrong)


def test_a_shared_secret_signs_too(tmp_path: Path) -> None:
    secret, other, short = (tmp_path / name for name in ("secret", "other", "short"))
    secret.write_text("a shared secret of the office\n")
    other.write_text("another secret of the office\n")
    short.write_text("short")
    digest = verify_bytes(case())[0].digest
    signed = archive.pack({**entries_of(case()), archive.SIGNATURE: sign(digest, secret)})
    assert "signed with the secret" in verify_bytes(signed, key=secret)[0].signature
    assert "not checked" in verify_bytes(signed)[0].signature
    with pytest.raises(Tampered, match="not made with the secret"):
        verify_bytes(signed, key=other)
    with pytest.raises(CaseError, match="16 or more"):
        sign(digest, short)


def test_the_terminal_says_it_in_one_sentence_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(case())
    bad.write_bytes(repacked(lambda e: e.update({"claims.json": b"[]"})))
    assert _run("case", "verify", str(good)) == 0
    assert "as it was written" in capsys.readouterr().out
    for command in (("case", "verify"), ("replay", "--backend", "none")):
        assert _run(*command, str(bad)) == 5
        told = capsys.readouterr()
        assert "'claims.json' differs" in " ".join(told.err.split())
        assert "Traceback" not in told.err
    assert _run("case", "verify", str(tmp_path / "nothing.zip")) == 2


def _run(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["sightline", *words])
        try:
            found = main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return int(found or 0)  # type: ignore[func-returns-value]
