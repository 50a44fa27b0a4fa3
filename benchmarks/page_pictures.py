"""The pictures of the rating and the revision page and of a report on explanations, in headless Chromium.

All three are of a town that does not exist.

    python benchmarks/page_pictures.py docs/images [--work FOLDER]

Writes ``rate.png``, ``revise.png`` and ``explanations.png``. Queries, explanations and annotators' answers are made
here from the town's map; nobody's ratings are shown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from eval.explanations.baselines import oracle_template, text_only
from eval.explanations.cases import World, cases_of
from eval.explanations.rendering import write
from eval.explanations.run import Options, build, gather
from eval.explanations.schema import Explained
from finetune.annotate.disagree import read_back
from finetune.annotate.queue import Answer, QueueImage, QueueItem, append, item_id
from prompts.annotate import CLOSING
from retriever.build import build_gallery
from retriever.gallery import Gallery
from retriever.pages import driver
from retriever.town import write_town

if TYPE_CHECKING:
    from playwright.sync_api import Page

TEXT = (
    "I am standing at a crossroads. There is a pharmacy near me and a park close by; I can see a bus stop, "
    "a school and a church."
)


def judgements(gallery: Gallery, path: Path) -> Path:
    """The oracle's words and those of a text-only system on some tiles of the town."""
    asked = [
        Explained(system="x", query_id=f"q{n}", tile_id=t, verdict=None, query=TEXT, location=t)
        for n, t in enumerate(gallery.ids)
    ]
    cases, _ = cases_of(asked, World(tiles=[gallery]))
    # The tiles on which the map bears out most, so that there is something to see.
    told = sorted(cases.values(), key=lambda c: -sum(e.stance == "supports" for e in c.checked.values()))[:8]
    rows = []
    for case in told:
        for said in (oracle_template(case), text_only(case)):
            rows.append(
                {
                    "system": said.system,
                    "query_id": said.query_id,
                    "tile_id": said.tile_id,
                    "text": TEXT,
                    "verdict": said.verdict,
                    "explanation": dict(said.texts),
                    "evidence": [e.to_json() for e in said.evidence],
                    "claims": [c.to_json() for c in case.claims],
                    "location": case.location,
                }
            )
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def queue(gallery: Gallery, run: Path) -> None:
    """One pair on which two annotators give opposite verdicts."""
    pictures = []
    middle = len(gallery) // 2
    for role, tile_id in (("map", gallery.ids[middle]), ("satellite", gallery.ids[middle + 1])):
        png = gallery.image_path(tile_id).read_bytes()
        sha = hashlib.sha256(png).hexdigest()
        (run / "images").mkdir(parents=True, exist_ok=True)
        (run / "images" / f"{sha}.png").write_bytes(png)
        pictures.append(QueueImage(role=role, sha256=sha, path=f"images/{sha}.png"))
    a = _answer("annotator_a", "match", "Both show a crossroads and a park.", "两者都有十字路口和公园。")
    b = _answer(
        "annotator_b", "no_match", "The first shows a crossroads, the second shows no park.", "第二幅没有公园。"
    )
    detail = "annotator_a says match, annotator_b no_match; on opposite sides: object park"
    item = QueueItem(
        id=item_id("pair", pictures, (a, b), TEXT),
        task="pair",
        images=tuple(pictures),
        en=a.en,
        zh=a.zh,
        query=TEXT,
        claims=a.claims,
        answers=(a, b),
        why=("verdict_differs", "claims_differ"),
        detail=detail,
    )
    append(run / "queue.jsonl", [item])


def _answer(by: str, verdict: str, en: str, zh: str) -> Answer:
    which = "match" if verdict == "match" else "no_match"
    closing = CLOSING["match" if verdict == "match" else "no_match"]
    return Answer(
        by=by, model=f"model of {by}", verdict="match" if which == "match" else "no_match", en=f"{en} {closing[0]}",
        zh=zh + closing[1], claims=read_back(en),
    )  # fmt: skip


def _shot(page: Page, link: str, keys: str, path: Path) -> None:
    page.goto(link)
    page.wait_for_selector("[data-test=place]")
    driver.connected(page)
    page.keyboard.type(keys)
    page.wait_for_function("document.querySelectorAll('[data-field] [aria-pressed=true]').length >= 2")
    page.wait_for_timeout(500)
    page.screenshot(path=path)


def report(page: Page, file: Path, gallery: Gallery, work: Path, path: Path) -> None:
    """The report of ``sightline explain-eval`` on the same judgements, where it shows the worst."""
    found = build(gather([file], World(tiles=[gallery])), Options(), command="sightline explain-eval judgements.jsonl")
    html, *_ = write(found, work / "report")
    page.goto(html.resolve().as_uri())
    page.get_by_role("heading", name="The worst explanations").evaluate("heading => heading.scrollIntoView()")
    page.screenshot(path=path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, help="Keeps the town there; else it is built anew.")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, driver.chromium() as browser:
        work = Path(temporary)
        town = wanted.work or work
        town.mkdir(parents=True, exist_ok=True)
        if not (town / "gallery").exists():
            write_town(town / "town.osm", seed=7, blocks=3)
            build_gallery(town / "gallery", osm=town / "town.osm", gallery_id="town-7")
        gallery = Gallery.open(town / "gallery")
        page = browser.new_page(viewport={"width": 1180, "height": 1010})
        file = judgements(gallery, work / "judgements.jsonl")
        command = ["rate", file, "--gallery", town / "gallery", "--raters", "anna", "--langs", "en"]
        with driver.served([*command, "--out", work / "study.sqlite", "--port", "0"]) as server:
            _shot(page, server.links["anna"], "rr", wanted.out / "rate.png")
        report(page, file, gallery, work, wanted.out / "explanations.png")
        queue(gallery, work / "run")
        with driver.served(["annotate", "revise", work / "run", "--revisers", "anna", "--port", "0"]) as server:
            _shot(page, server.links["anna"], "maa", wanted.out / "revise.png")


if __name__ == "__main__":
    main()
