"""The arena's own measures against slow or known answers, and its way of asking a judge."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.arena.asking import Cost, CountingClient, Replies, patch_pixels
from eval.arena.confident import Sureness, auroc, calibrated, most_sure, risk_coverage, smooth_ece
from eval.arena.exchange import read_ranked
from eval.arena.sections import confidence_section
from eval.protocol import EvaluationError
from prompts.clients.base import ChatReply, ChatRequest, ImagePart, Message
from retriever.errors import ServerUnavailable

RNG = np.random.default_rng(5)


def drawn(n: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and answers that are right as often as they say less ``shift``."""
    p = RNG.uniform(0.2, 0.9, n)
    return p, (RNG.uniform(size=n) < p - shift).astype(np.float64)


def test_smooth_ece_is_small_where_the_confidence_is_true_and_near_the_shift_where_it_is_not() -> None:
    assert smooth_ece(*drawn(4000)) < 0.03
    assert smooth_ece(*drawn(4000, 0.2)) == pytest.approx(0.2, abs=0.04)


def test_smooth_ece_of_a_single_confidence_is_its_bias() -> None:
    p, right = np.full(1000, 0.7), np.array([1.0] * 400 + [0.0] * 600)
    assert smooth_ece(p, right) == pytest.approx(0.3, abs=0.01)


def test_auroc_equals_counting_pairs() -> None:
    p, right = np.round(RNG.uniform(size=60), 1), (RNG.uniform(size=60) < 0.4).astype(np.float64)
    pairs = [(a > b) + 0.5 * (a == b) for a in p[right == 1] for b in p[right == 0]]
    assert auroc(p, right) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(p, np.ones(60)))


def sure(p: np.ndarray, right: np.ndarray, clusters: Sequence[str] | None = None) -> Sureness:
    places = clusters or [f"{i:04d}" for i in range(len(p))]
    return Sureness(key="m", p=p, right=right.astype(bool), clusters=places, removed=0, calibrated=len(p))


def test_all_scores_of_a_confidence_that_knows() -> None:
    p, right = drawn(600)
    found = calibrated(sure(p, right))
    assert found.brier.value < found.base_brier
    assert found.half_error.value < found.error.value
    assert found.auroc is not None
    assert found.auroc.low < found.auroc.value < found.auroc.high


@pytest.mark.parametrize(("fitted", "said"), [(60, "yes"), (59, "59 of 60"), (0, "no")])
def test_the_report_says_for_how_many_answers_the_weights_were_fitted(fitted: int, said: str) -> None:
    found = calibrated(replace(sure(*drawn(60)), calibrated=fitted))
    (grid,) = confidence_section("some", [found]).grids
    assert dict(zip(grid.header, grid.rows[0], strict=True))["weights fitted"] == said


def test_a_constant_confidence_is_no_better_than_the_base_rate() -> None:
    right = (RNG.uniform(size=400) < 0.3).astype(np.float64)
    found = calibrated(sure(np.full(400, right.mean()), right))
    assert found.brier.value == pytest.approx(found.base_brier)
    assert found.auroc is not None
    assert found.auroc.value == 0.5


def test_equal_confidences_are_not_ordered_by_who_is_right() -> None:
    right = np.array([1, 0] * 50)
    assert most_sure(np.full(100, 0.5), [f"{i:03d}" for i in range(100)]) == list(range(50))
    coverage, risk = risk_coverage(sure(np.full(100, 0.5), right))
    assert (coverage[-1], risk[-1]) == (1.0, 0.5)


class Slow:
    """A client that counts how often it is really asked."""

    name = "fake:slow"

    def __init__(self) -> None:
        self.asked, self.down = 0, False

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked += 1
        if self.down:
            raise ServerUnavailable("gone; start it again")
        return ChatReply(text="yes", prompt_tokens=60, completion_tokens=1, seconds=0.5, choice_logprobs={"yes": -0.1})

    async def close(self) -> None:
        return None


def request(side: int = 64) -> ChatRequest:
    out = io.BytesIO()
    Image.new("RGB", (side, side)).save(out, "PNG")
    return ChatRequest(messages=(Message.of("user", ImagePart(png=out.getvalue()), "is it here?"),))


async def test_a_question_is_asked_once_and_charged_to_everyone_who_asks(tmp_path: Path) -> None:
    client = Slow()
    mine = CountingClient(client, Replies(tmp_path / "r.sqlite"), patch_px=32)
    first = await mine.complete(request())
    mine.begin()
    # Another process, later: the file answers.
    again = CountingClient(client, Replies(tmp_path / "r.sqlite"), patch_px=32)
    assert await again.complete(request()) == first
    assert client.asked == 1
    assert again.cost == Cost(
        calls=1, kept=1, pictures=1, image_tokens=4, prompt_tokens=60, output_tokens=1, call_seconds=0.5
    )
    assert mine.cost == Cost()
    await again.complete(request(96))
    assert (client.asked, again.cost.calls, again.cost.image_tokens) == (2, 2, 4 + 9)


async def test_failures_are_not_kept(tmp_path: Path) -> None:
    client = Slow()
    mine = CountingClient(client, Replies(tmp_path / "r.sqlite"))
    client.down = True
    with pytest.raises(ServerUnavailable):
        await mine.complete(request())
    client.down = False
    assert (await mine.complete(request())).text == "yes"


def test_the_side_of_an_image_token_comes_from_the_models_configuration() -> None:
    assert patch_pixels({"vision_config": {"patch_size": 16, "spatial_merge_size": 2}}) == 32
    assert patch_pixels({}) == 0


def test_a_trec_run_is_read_by_score_as_trec_eval_does(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("q Q0 a 1 0.1 x\nq Q0 b 2 0.9 x\n")
    assert read_ranked(path, "trec") == {"q": [("b", 0.9), ("a", 0.1)]}
    path.write_text("q Q0 a 1 nan x\n")
    with pytest.raises(EvaluationError, match=":1: the score nan"):
        read_ranked(path, "trec")


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"query": {"qid": "q"}}]', "not json"])
def test_a_file_that_is_not_rank_llms_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(EvaluationError, match="no rank_llm file"):
        read_ranked(path, "rank_llm")
