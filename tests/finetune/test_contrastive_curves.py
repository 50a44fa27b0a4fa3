"""The curves of a run, drawn from its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from finetune.contrastive.curves import draw, read_log


def test_a_log_in_stages_is_counted_through(tmp_path: Path) -> None:
    found = {"mean": {"r@1": 0.1, "tiles": 9}, "areas": {"moscow": {"r@1": 0.1, "tiles": 9}}}
    lines: list[dict[str, Any]] = [
        {"stage": "words", "step": 20, "time": 1.0, "words": 3.0},
        {"stage": "words", "step": 40, "time": 2.0, "words": 2.5},
        {"stage": "look", "step": 20, "time": 3.0, "dense": 2.0, "tell": 0.5},
        {"stage": "look", "step": 20, "time": 3.0, "validation": found},
        {"stage": "look", "step": 40, "time": 4.0, "dense": 9.0},
        {"stage": "look", "step": 60, "time": 4.0, "dense": 9.0},
        {"stage": "look", "step": 40, "time": 5.0, "dense": 1.0},
        {"stage": "look", "step": 20, "time": 6.0, "dense": 1.5},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    log = read_log(tmp_path)
    assert [(e["phase"], e["step"], e.get("loss")) for e in log] == [
        ("words", 20, 3.0),
        ("words", 40, 2.5),
        ("look", 60, 2.5),
        ("look", 60, None),
        ("look", 80, 1.0),
        ("look", 100, 1.5),
    ], "a run that went on replaces what it had done; a stage of the same name comes after"
    draw(tmp_path)
    assert "moscow" in (tmp_path / "curves.html").read_text(encoding="utf-8")
