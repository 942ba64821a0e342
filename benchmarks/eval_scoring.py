"""Scoring in context: vlmkit's batches with shared beginnings against one sequence at a time, in the same run.

    python benchmarks/eval_scoring.py [--data ../shared/data] [--rows 40] [--threads 1] [--batch-tokens N ...]

The tiny model of icl-vectors on the tasks of its golden scores; the peer is the plain loop that most small scorers are:
a full forward for each choice, logits at every position. Prints rows a second and the ratio.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from vlmkit.core.evaluate import prompts
from vlmkit.core.evaluate.dclm import TASKS
from vlmkit.core.evaluate.prompts import Item
from vlmkit.core.evaluate.scoring import BATCH_TOKENS, choose, score
from vlmkit.core.evaluate.tasks import Form, Task, read_pools
from vlmkit.core.models.load import load_causal_lm
from vlmkit.core.models.tokenizers import load_tokenizer

NAMES = (
    "arc_easy", "piqa", "copa", "openbook_qa", "boolq", "commonsense_qa", "winograd",
    "jeopardy", "lambada_openai", "bigbench_qa_wikidata", "bigbench_dyck_languages", "bigbench_operators",
)  # fmt: skip


@torch.inference_mode()
def plain(model: PreTrainedModel, items: Sequence[Item], form: Form) -> Iterator[bool]:
    """One sequence at a time, whole, without a cache."""
    for item in items:
        means, exact = [], []
        for ids, (start, end) in zip(item.sequences, item.spans, strict=True):
            tokens = torch.tensor([ids], device=model.device)
            logits = model(tokens).logits[0, start - 1 : end - 1].float().log_softmax(-1)
            target = tokens[0, start:end]
            means.append(-float(logits.gather(1, target[:, None]).mean()))
            exact.append(bool((logits.argmax(-1) == target).all()))
        yield exact[0] if form is Form.LANGUAGE else means.index(min(means)) == item.gold


def main() -> None:
    """Time both scorers on the same items and check that they agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, help="another model than the tiny one (with its tokenizer)")
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[])
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    folder = words.model or words.data / "icl-vectors" / "model"
    model = load_causal_lm(folder, device=words.device)
    tokenizer = load_tokenizer(words.model or words.data / "icl-vectors" / "tokenizer")
    work: list[tuple[Task, list[Item]]] = []
    for task in map(TASKS.__getitem__, NAMES):
        pool = read_pools(task, words.data / "eval" / task.file)[0]
        asked = prompts.prompts(task, pool, shots=task.shots, seed=1234, lead=" ", limit=words.rows)
        work.append((task, prompts.tokenise(list(asked), tokenizer, max_len=2048, where=task.name)))
    rows = sum(len(items) for _, items in work)
    tokens = sum(len(ids) for _, items in work for item in items for ids in item.sequences)
    print(f"{rows} rows of {len(work)} tasks, {tokens:,} tokens, {words.threads} threads, {words.device}")
    for task, items in work[:1]:
        list(plain(model, items[:4], task.form))  # warm
    begun = time.perf_counter()
    reference = [list(plain(model, items, task.form)) for task, items in work]
    slow = time.perf_counter() - begun
    print(f"one sequence at a time: {rows / slow:8.1f} rows/s")
    for budget in words.batch_tokens or [BATCH_TOKENS[model.device.type]]:
        begun = time.perf_counter()
        differ = 0
        for (task, items), wanted in zip(work, reference, strict=True):
            for index, spans in score(model, items, batch_tokens=budget):
                differ += choose(task.form, spans, items[index].gold)[1] != wanted[index]
        fast = time.perf_counter() - begun
        print(f"vlmkit, {budget:6d} tokens:  {rows / fast:8.1f} rows/s, ratio {slow / fast:.2f}, {differ} rows differ")


main()
