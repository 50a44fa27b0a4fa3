# %% [markdown]
# # How good are the explanations?
# An evaluator's session: a town that no model was trained on, descriptions of known places in it, the desk's answers,
# and `sightline explain-eval`, which says of every explanation whether the map bears it out.
# `TOWN_BLOCKS` and `QUERIES` set the size; a number from a handful of queries has a wide interval and says so.

# %%
import json
import os
import subprocess
import sys
from pathlib import Path

from retriever.build import build_gallery
from retriever.encoder import Encoder
from retriever.retrieve import DEFAULT_ENCODER, build_index, index_folder
from retriever.town import write_town

OUT = Path(os.environ.get("OUT", "out/evaluator"))
BLOCKS, QUERIES = int(os.environ.get("TOWN_BLOCKS", "5")), int(os.environ.get("QUERIES", "12"))
OUT.mkdir(parents=True, exist_ok=True)


def sightline(*words: str) -> str:
    """A command as one would type it; gives what it prints."""
    print("$ sightline", *words)
    command = [sys.executable, "-m", "retriever.main", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


# %% [markdown]
# ## A town and its gallery
# Seeds 3000 to 3099 are kept for tests: nothing was trained on them.

# %%
folder = OUT / f"gallery-3005-{BLOCKS}"
if not folder.exists():
    town = write_town(OUT / "town.osm", seed=3005, blocks=BLOCKS)
    gallery = build_gallery(folder, osm=town, gallery_id="town-3005")
    build_index(gallery, Encoder.load(DEFAULT_ENCODER), index_folder(folder, DEFAULT_ENCODER))

# %% [markdown]
# ## Descriptions of places whose tile is known

# %%
queries = OUT / "queries.jsonl"
sightline("calibrate", "queries", str(folder), "--out", str(queries), "--n", str(QUERIES), "--seed", "1")
for line in queries.read_text(encoding="utf-8").splitlines()[:2]:
    print(json.loads(line)["text"])

# %% [markdown]
# ## The desk's answers
# `SIGHTLINE_BACKEND` says who judges: vllm, transformers, or none, in which case templates put the map into words.

# %%
answers = OUT / "answers.jsonl"
answers.unlink(missing_ok=True)
sightline("locate", "--gallery", str(folder), "--batch", str(queries), "--out", str(answers), "--top", "3")

# %% [markdown]
# ## The report
# Claim by claim against the map; `--baselines` adds explanations of known worth, without which no score means anything.

# %%
told = sightline(
    "explain-eval", str(answers), "--gallery", str(folder), "--queries", str(queries), "--baselines",
    "--out", str(OUT / "report"), "--json",
)  # fmt: skip
for section in json.loads(told)["sections"]:
    print(f"\n## {section['title']}")
    for grid in section["grids"]:
        for row in [grid["header"], *grid["rows"]]:
            print(" | ".join(str(cell) for cell in row))
print(f"the report is {OUT / 'report' / 'report.html'}")
