"""Our training loop beside transformers' Trainer: the same model, batches, optimizer settings and threads, in turn.

    python benchmarks/train_loop.py [--threads 2] [--steps 12] [--repeats 4] [--save]

Models of about 1M parameters (a transformers Llama, for both), float32, AdamW fused, clipping to 1, cosine with
warm-up. Trainer as one who knows it sets it up: no logging, saving or evaluation, fused optimizer, data in memory, no
workers. Ours with everything it does: a log row, progress and the check for a finite loss at every step. Time a step is
the median over all steps but the first two of each repeat. That both did the same work is asserted: their losses agree.
"""

import argparse
import copy
import datetime
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

from vlmkit.core.train.loop import Run, fit
from vlmkit.core.train.losses import next_token
from vlmkit.core.train.optim import adamw
from vlmkit.core.train.schedule import cosine

VOCAB = 4096
SHAPES = [(8, 128), (32, 128), (16, 256)]  # batch in sequences, tokens a sequence
PEAK, WARMUP, DECAY = 1e-3, 3, 0.033
RESULTS = Path(__file__).parent / "results" / "train_loop.md"
SKIPPED = 2  # first steps of a repeat: caches, lazy set-up


class Rows(Dataset):
    """Token rows in memory; Trainer's model shifts the labels itself."""

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


class Clock(TrainerCallback):
    """When each step of Trainer ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_args: object, **_kwargs: object) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def model() -> LlamaForCausalLM:
    """A Llama of about a million parameters."""
    torch.manual_seed(0)
    shape = {"vocab_size": VOCAB, "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3}
    shape |= {"num_attention_heads": 4, "max_position_embeddings": 256, "tie_word_embeddings": False}
    return LlamaForCausalLM(LlamaConfig(**shape))


def trainer(net: LlamaForCausalLM, rows: torch.Tensor, batch: int, steps: int) -> tuple[list[float], float, float]:
    """Seconds of each step, the mean loss, and no share of overhead."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=batch, max_steps=steps, optim="adamw_torch_fused", learning_rate=PEAK,
            weight_decay=DECAY, adam_beta2=0.95, max_grad_norm=1.0, lr_scheduler_type="cosine", warmup_steps=WARMUP,
            logging_strategy="no", save_strategy="no", eval_strategy="no", report_to="none", disable_tqdm=True,
            use_cpu=True, dataloader_num_workers=0, dataloader_pin_memory=False, remove_unused_columns=False,
            train_sampling_strategy="sequential", seed=0,
        )  # fmt: skip
        work = Trainer(model=net, args=arguments, train_dataset=Rows(rows), callbacks=[clock])
        work.remove_callback(PrinterCallback)
        done = work.train()
    return gaps(clock.ends), done.training_loss, float("nan")


def ours(net: LlamaForCausalLM, rows: torch.Tensor, batch: int, steps: int) -> tuple[list[float], float, float]:
    """Seconds of each step, the mean loss, and the loop's own share of the time."""
    targets = torch.cat([rows[:, 1:], torch.full((len(rows), 1), -100)], dim=1)
    batches = [
        {"input_ids": rows[i : i + batch], "targets": targets[i : i + batch]} for i in range(0, len(rows), batch)
    ]
    ends: list[float] = []

    def note(_run: Run) -> None:
        ends.append(time.perf_counter())

    optim = partial(adamw, rules=[(".*", PEAK)], weight_decay=DECAY)
    run = fit(net, batches, next_token(net), optim=optim, schedule=cosine(steps, warmup=WARMUP), hooks=(note,))
    return gaps(ends), statistics.mean(run.rows["loss"]), statistics.median(run.rows["overhead"][SKIPPED:])


def gaps(ends: list[float]) -> list[float]:
    """Seconds between the ends of consecutive steps, the first ones left out."""
    return [b - a for a, b in zip(ends[SKIPPED - 1 :], ends[SKIPPED:], strict=False)]


def compare(batch: int, seq_len: int, steps: int, repeats: int) -> dict[str, float]:
    """Both loops in turn on one shape: median tokens a second of each, and the loop's share."""
    rows = torch.randint(0, VOCAB, (batch * steps, seq_len), generator=torch.Generator().manual_seed(1))
    runners: dict[str, Callable] = {"Trainer": trainer, "vlmkit": ours}
    times: dict[str, list[float]] = {name: [] for name in runners}
    losses: dict[str, float] = {}
    share = []
    for _ in range(repeats):
        for name, runner in runners.items():
            found, losses[name], overhead = runner(copy.deepcopy(model()), rows, batch, steps)
            times[name] += found
            share += [overhead] if name == "vlmkit" else []
    assert abs(losses["Trainer"] - losses["vlmkit"]) < 1e-2, losses  # warm-up differs by one step's learning rate
    return {name: batch * seq_len / statistics.median(found) for name, found in times.items()} | {
        "share": statistics.median(share)
    }


def main() -> None:
    """Measure, print, and keep the table if asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--save", action="store_true", help="append the table to benchmarks/results/train_loop.md")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    logging.set_verbosity_error()
    params = sum(p.numel() for p in model().parameters())
    machine = f"{platform.machine()}, {words.threads} threads, torch {torch.__version__}, {params:,} parameters"
    lines = [
        f"## {datetime.date.today()}: {machine}",
        "",
        "| batch × tokens | Trainer tokens/s | vlmkit tokens/s | ratio | loop's share |",
    ]
    lines.append("|---|---|---|---|---|")
    for batch, seq_len in SHAPES:
        found = compare(batch, seq_len, words.steps, words.repeats)
        ratio = found["vlmkit"] / found["Trainer"]
        rates = f"{found['Trainer']:,.0f} | {found['vlmkit']:,.0f} | {ratio:.2f}"
        lines.append(f"| {batch} × {seq_len} | {rates} | {found['share']:.1%} |")
        print(lines[-1], flush=True)
    if words.save:
        before = (
            RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Training loop: benchmarks/train_loop.py\n"
        )
        RESULTS.write_text(before.rstrip() + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
