"""Grounding DINO and SAM through transformers: the contract, with random weights of the same architectures.

What the segments are worth is not tested: random weights see nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from annotate_fakes import photo_run

from finetune.annotate import segment
from finetune.annotate.rows import read_rows
from finetune.annotate.segment import Segmenter, SegmentRow, run_segment

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] . ? car van sign building a".split()  # noqa: SIM905


def tiny_detector(folder: Path) -> Path:
    import torch
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", "utf-8")
    text = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    swin = SwinConfig(
        embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = GroundingDinoConfig(
        backbone_config=swin, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=12,
        max_text_len=64,
    )  # fmt: skip
    torch.manual_seed(0)
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


def tiny_segmenter(folder: Path) -> Path:
    import torch
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

    vision = {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 8, "global_attn_indexes": [0], "window_size": 0, "num_pos_feats": 8, "mlp_dim": 16,
    }  # fmt: skip
    prompt = {"hidden_size": 16, "image_size": 64, "patch_size": 8, "image_embedding_size": 8, "mask_input_channels": 4}
    decoder = {
        "hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "iou_head_hidden_dim": 16
    }  # fmt: skip
    torch.manual_seed(0)
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    SamModel(config).save_pretrained(folder)
    images = SamImageProcessor(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    SamProcessor(images).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_boxes_and_outlines_of_the_two_architectures_become_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = photo_run(tmp_path, 2)
    # Random weights are sure of nothing: every box is taken.
    monkeypatch.setattr(segment, "MIN_BOX", 0.0)
    monkeypatch.setattr(segment, "MIN_TEXT", 0.0)
    model = Segmenter(str(tiny_detector(tmp_path / "dino")), str(tiny_segmenter(tmp_path / "sam")))
    made = [row for _, row in run_segment(run, model, ["car", "sign"])]
    assert made == read_rows(run / "segments.jsonl", SegmentRow)
    assert list(run_segment(run, model, ["car", "sign"])) == []
    segments = [s for row in made for s in row.segments]
    assert segments
    for one in segments:
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 <= x1 <= 60
        assert 0 <= y0 <= y1 <= 40
        assert 0 <= one.score <= 1
        assert all(0 <= x < 60 and 0 <= y < 40 for ring in one.mask for x, y in ring)
    assert all([s.score for s in row.segments] == sorted((s.score for s in row.segments), reverse=True) for row in made)
    assert model.name in made[0].by
