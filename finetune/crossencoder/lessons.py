"""One lesson through sentence-transformers' trainer: rows of clue, listing and label, stopped and taken up again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler

SORTED = 40
"""Batches whose rows are sorted by length together: few are padded, and which rows meet stays a matter of chance."""


class ByLength(DefaultBatchSampler):  # type: ignore[misc]
    """Batches of rows whose listings are about equally long, in an order of chance."""

    def __init__(self, dataset: Any, batch_size: int, drop_last: bool, **told: Any) -> None:
        super().__init__(dataset, batch_size=batch_size, drop_last=drop_last, **told)
        self.size = batch_size
        self.lengths = np.array([text.count(" ") for text in dataset["listing"]])

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.lengths))
        batches: list[np.ndarray] = []
        for at in range(0, len(order), SORTED * self.size):
            some = order[at : at + SORTED * self.size]
            some = some[np.argsort(self.lengths[some], kind="stable")]
            batches += [some[i : i + self.size] for i in range(0, len(some), self.size)]
        for turn in rng.permutation(len(batches)):
            yield batches[turn].tolist()

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), SORTED * self.size)
        return whole * SORTED + -(-rest // self.size)


def lesson(
    model: Any, rows: Mapping[str, list[Any]], folder: Path, *, batch: int, lr: float, epochs: float, until: float,
    seed: int, save_steps: int = 100,
) -> int:  # fmt: skip
    """Steps made before the clock says ``until`` (seconds since the epoch), those of an earlier start among them.

    A checkpoint is kept in ``folder`` every ``save_steps`` steps, and the lesson goes on from the last one.
    """
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
    from transformers import TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = control.should_training_stop or time.time() > until
            return control

    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder), num_train_epochs=epochs, per_device_train_batch_size=batch, learning_rate=lr,
        lr_scheduler_type="linear", warmup_steps=30, weight_decay=0.01,
        logging_steps=25, save_strategy="steps", save_steps=save_steps, save_total_limit=1, report_to="none",
        use_cpu=True, seed=seed, data_seed=seed, disable_tqdm=True, dataloader_num_workers=0, batch_sampler=ByLength,
    )  # fmt: skip
    table = Dataset.from_dict(dict(rows))
    loss = BinaryCrossEntropyLoss(model)
    trainer = CrossEncoderTrainer(model=model, args=arguments, train_dataset=table, loss=loss, callbacks=[Clock()])
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    return int(trainer.state.global_step)
