"""A tiny model and tokenizer made on the spot, and the golden ones of llm-foundry where ../shared is."""

import json
import os
from collections import defaultdict

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny matrices are fastest on one core, and the sums are the same in every run."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@pytest.fixture(scope="session")
def tiny():
    """(model, tokenizer): a random Llama with two layers, a byte-level tokenizer in which " a" is one token."""
    from vlmkit.core.models.presets import build_causal_lm
    from vlmkit.core.models.tokenizers import train_tokenizer

    text = "a cat sat on a mat and a dog ran at a cat. the answer of a question is a word. " * 20
    tokenizer = train_tokenizer([text], vocab_size=300)
    return build_causal_lm("llama", "tiny", vocab_size=len(tokenizer), seed=7).eval(), tokenizer


@pytest.fixture(scope="session")
def golden(shared):
    """(model, tokenizer) of ../shared/data/icl-vectors."""
    from vlmkit.core.models.load import load_causal_lm
    from vlmkit.core.models.tokenizers import load_tokenizer

    folder = shared("icl-vectors")
    return load_causal_lm(folder / "model"), load_tokenizer(folder / "tokenizer")


@pytest.fixture(scope="session")
def scored(shared):
    """task -> row of its file -> what the original scorer found."""
    found = defaultdict(dict)
    for line in (shared("icl-vectors") / "scored.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["task"]][row["row"]] = row
    return found


@pytest.fixture(scope="session")
def golden_items(shared, golden, scored):
    """A function from a task's name to its items among the scored rows, with the answer tokens of the task."""
    from vlmkit.core.evaluate import prompts
    from vlmkit.core.evaluate.dclm import TASKS
    from vlmkit.core.evaluate.tasks import Form, read_pools

    def make(name):
        task, tokenizer, wanted = TASKS[name], golden[1], scored[name]
        pools = read_pools(task, shared("eval") / task.file)
        answer = prompts.answer_tokens(task, pools, tokenizer) if task.form is Form.ANSWER else 0
        items = []
        for pool in pools:
            asked = prompts.prompts(task, pool, shots=task.shots, seed=1234, lead=" ", limit=45)
            chosen = [prompt for prompt in asked if prompt.line in wanted]
            items += prompts.tokenise(chosen, tokenizer, max_len=2048 - answer, where=name)
        assert len(items) == len(wanted)
        return items, answer

    return make
