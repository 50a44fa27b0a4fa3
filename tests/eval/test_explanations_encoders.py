"""Encoders for the overlap scores: from a folder, named by their weights, silent in what they cannot read."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from explained_fakes import case, explained

from eval.explanations.encoders import SHIPPED, card_languages, open_encoder, weights_hash
from eval.explanations.overlap import bert_score, overlap, sentence_similarity
from eval.explanations.run import Inputs, Options, build
from retriever.errors import ModelError

ENGLISH = ("description", "and", "tile", "agree", "on", "the", "cafe", "to", "north", "park", "south", ".")
ZH = "描述与图块一致：北侧的咖啡馆。"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A sentence encoder of two small layers that knows a few English words, as such models are shipped."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    base, folder = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ENGLISH]
    (base / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(base / "vocab.txt"))
    tokenizer.save_pretrained(base)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **size)).save_pretrained(base)
    layer = Transformer(str(base))
    SentenceTransformer(modules=[layer, Pooling(16)], device="cpu").save(str(folder))
    card(folder, "language: en")
    return folder


def card(folder, line: str) -> None:
    (folder / "README.md").write_text(f"---\n{line}\nlicense: mit\n---\n\n# tiny-encoder\n", encoding="utf-8")


def test_a_folder_is_loaded_named_by_its_weights_and_reads_what_its_card_says(tiny) -> None:
    encoder = open_encoder(str(tiny))
    weights = hashlib.sha256((tiny / "model.safetensors").read_bytes()).hexdigest()
    assert weights_hash(tiny) == weights
    assert encoder.name == f"tiny-encoder (sentence-transformers, weights sha256 {weights[:12]})"
    assert encoder.languages == {"en"}
    text = "description and tile agree on the cafe"
    # Neither the mark of the beginning nor that of the end is a token of the text.
    assert len(encoder.tokens(text)) == len(text.split())
    assert np.linalg.norm(encoder.tokens(text), axis=1) == pytest.approx(1.0, abs=1e-5)
    assert sentence_similarity([text], [text], encoder) == [pytest.approx(1.0, abs=1e-5)]
    assert bert_score([text], [text], encoder) == [pytest.approx(1.0, abs=1e-5)]
    other = bert_score([text], ["park to south ."], encoder)[0]
    assert other is not None
    assert other < 0.999


def test_an_english_encoder_scores_no_chinese_and_the_report_says_so(tiny) -> None:
    encoder = open_encoder(f"st:{tiny}")
    assert "BERTScore" in overlap(["the cafe"], ["the park"], "en", encoder)
    assert not {"BERTScore", "sentence similarity"} & set(overlap([ZH], [ZH], "zh", encoder))
    one = case(references={"en": "description and tile agree on the cafe", "zh": ZH})
    inputs = Inputs(items=(explained(one),), cases={one.key: one}, ratings=(), problems=())
    (section,) = [s for s in build(inputs, Options(encoder=encoder), command="c").sections if "Overlap" in s.title]
    assert "it does not read zh" in section.text[0]
    assert "tiny-encoder" in section.text[0]
    names = {row[0] for row in section.grids[0].rows}
    assert "BERTScore, en" in names
    assert "BERTScore, zh" not in names


def test_saying_that_it_reads_chinese_does_not_make_it(tiny) -> None:
    with pytest.raises(ModelError, match="does not read zh: 100 %"):
        open_encoder(str(tiny), ["en", "zh"])
    with pytest.raises(ModelError, match="fr is none of the languages"):
        open_encoder(str(tiny), ["fr"])


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("language: en", ("en",)),
        ("language: [zh, en, de]", ("en", "zh")),
        ("language: multilingual", ("en", "zh")),
        ("language: fr", ()),
        ("tags: [x]", ()),
        ("language: [", ()),
    ],
)
def test_what_a_card_says(tmp_path, line, wanted) -> None:
    card(tmp_path, line)
    assert card_languages(tmp_path) == wanted


def test_a_silent_card_a_missing_folder_and_a_broken_one_are_told(tmp_path) -> None:
    assert card_languages(tmp_path / "nothing") == ()
    with pytest.raises(ModelError, match=r"no modules\.json"):
        open_encoder(f"st:{tmp_path}")
    (tmp_path / "modules.json").write_text("[", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_encoder(str(tmp_path))


def test_without_a_card_the_languages_must_be_said(tiny, tmp_path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tiny, bare)
    (bare / "README.md").unlink()
    with pytest.raises(ModelError, match="--encoder-languages"):
        open_encoder(str(bare))
    assert open_encoder(str(bare), ["en"]).name.startswith("bare (")


@pytest.mark.slow
def test_the_shipped_tower_reads_both_languages() -> None:
    encoder = open_encoder(SHIPPED)
    assert encoder.languages == {"en", "zh"}
    assert sentence_similarity([ZH], [ZH], encoder) == [pytest.approx(1.0, abs=1e-4)]
