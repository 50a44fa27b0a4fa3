"""Writing a case file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from agent.casefile.archive import MANIFEST, SIGNATURE, json_bytes, pack, with_manifest, write_once
from agent.casefile.case import Case, case_of
from agent.casefile.check import Verified
from agent.casefile.collect import Source, documents, gather
from agent.casefile.maps import geojson, kml
from agent.casefile.signing import sign
from agent.casefile.words import plain

if TYPE_CHECKING:
    from agent.context import Context
    from agent.desk import Desk


async def export_case(
    desk: Desk, thread: str, out: Path | str, *, force: bool = False, key: Path | None = None
) -> Path:
    """The thread's last answer as a case file at ``out``: whole or not at all.

    ``key`` signs it (:mod:`agent.casefile.signing`). Raises ``NoThread``, and ``CaseError`` where nothing was searched
    for yet, or the file is there already and ``force`` is not given.
    """
    out = Path(out)
    if out.exists() and not force:
        # Said before the work; what counts is the check when the file takes its name.
        write_once(out, b"")
    data = await case_bytes(desk, thread, key=key)
    return await asyncio.to_thread(write_once, out, data, force=force)


async def case_bytes(desk: Desk, thread: str, *, key: Path | None = None) -> bytes:
    """The bytes of :func:`export_case`. The same thread gives the same bytes."""
    source = await gather(desk, thread)
    return await asyncio.to_thread(_bytes, source, desk.context, key)


def _bytes(source: Source, context: Context, key: Path | None) -> bytes:
    found = documents(source, context)
    entries = {f"{name}.json": json_bytes(value) for name, value in found.json.items()} | found.pictures
    nothing = Verified(path="", digest="", entries=0, size=0, signature="")
    case = case_of(entries, nothing)
    entries |= _papers(case)
    whole = with_manifest(entries)
    if key is not None:
        whole[SIGNATURE] = sign(json.loads(whole[MANIFEST])["digest"], key)
    return pack(whole)


def _papers(case: Case) -> dict[str, bytes]:
    """What people and other tools read."""
    from agent.casefile.pdf import pdf_report
    from agent.casefile.report import html_report
    from agent.casefile.view import view_of

    view = view_of(case)
    return {
        "README.txt": _readme(case).encode(),
        "candidates.geojson": geojson(case),
        "candidates.kml": kml(case),
        "report.html": html_report(view, case),
        "report.pdf": pdf_report(view, case),
    }


def _readme(case: Case) -> str:
    title = plain(str(case.case["thread"].get("title") or case.case["thread"]["id"]))
    return f"""Sightline case file: {title}

report.html, report.pdf   for people, in English and Chinese / 供阅读的中英文报告
candidates.geojson, .kml  for maps and other tools / 供地图与其他工具使用
tiles/*.png               every tile as the model was shown it; *.evidence.png with boxes / 图块，及带证据框的图块
*.json                    query, claims, candidates, evidence, explanations, posterior, tiles, trace, versions
{MANIFEST}             SHA-256 of every entry, and one over the list / 各条目的校验值

Is it as it was written?     sightline case verify CASE.zip
Does it come out again?      sightline replay CASE.zip
"""
