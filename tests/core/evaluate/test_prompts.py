"""Prompts against the golden inputs of llm-foundry, and the laws of the few-shot draw and of truncation."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.evaluate import prompts
from vlmkit.core.evaluate.dclm import TASKS
from vlmkit.core.evaluate.prompts import TooLongError, draw_examples
from vlmkit.core.evaluate.tasks import Form, Pool, Task, read_pools
from vlmkit.core.models.tokenizers import load_tokenizer


def pool_of(*rows):
    return Pool(None, list(rows), list(rows), list(range(len(rows))), Path("t.jsonl"))


def test_all_golden_inputs_are_equal(shared):
    folder = shared("icl-vectors")
    tokenizers = {name: load_tokenizer(folder / name) for name in ("tokenizer", "tokenizer-b")}
    runs = defaultdict(dict)
    for line in (folder / "vectors.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        runs[row["task"], row["tokenizer"], row["max_seq_len"], row["seed"], row["shots"]][row["row"]] = row
    compared = 0
    for (name, words, max_len, seed, shots), wanted in runs.items():
        task, tokenizer = TASKS[name], tokenizers[words]
        pools = read_pools(task, shared("eval") / task.file)
        answer = prompts.answer_tokens(task, pools, tokenizer) if task.form is Form.ANSWER else 0
        lead = prompts.leading_space(tokenizer)
        for pool in pools:
            made = [p for p in prompts.prompts(task, pool, shots=shots, seed=seed, lead=lead) if p.line in wanted]
            for prompt, item in zip(
                made, prompts.tokenise(made, tokenizer, max_len=max_len - answer, where=name), strict=True
            ):
                same(prompt, item, wanted[prompt.line], answer, max_len)
                compared += 1
    assert compared == 115


def same(prompt, item, row, answer, max_len):
    assert prompt.fewshot == row["fewshot"]
    assert prompt.preamble == row["preamble"]
    assert prompt.contexts == row.get("contexts", [row.get("context")])
    if answer:
        assert item.sequences == [row["input_ids"]]
        assert (max_len - answer, answer, item.labels) == (row["context_limit"], row["max_new_tokens"], row["labels"])
        return
    assert prompt.continuations == row.get("continuations", [row.get("continuation")])
    assert item.sequences == row["input_ids"]
    assert [list(span) for span in item.spans] == row["spans"]
    assert item.gold == row.get("gold", 0)


def test_draw_is_the_known_one():
    assert next(draw_examples(2376, 10, 1234)) == [71, 969, 1452, 1805, 143, 371, 343, 403, 30, 478]


@pytest.mark.parametrize(("rows", "shots"), [(1, 3), (2, 3), (5, 10), (40, 3), (40, 39)])
def test_draw_never_takes_the_row_itself(rows, shots):
    for row, drawn in enumerate(draw_examples(rows, shots, 5)):
        assert row not in drawn
        assert len(set(drawn)) == len(drawn) <= min(rows - 1, shots)


def test_draw_of_a_part_is_the_part_of_the_draw():
    whole = list(draw_examples(50, 4, 9))
    assert [drawn for drawn, _ in zip(draw_examples(50, 4, 9), range(7), strict=False)] == whole[:7]
    assert whole != list(draw_examples(50, 4, 10))


def test_schema_without_examples_has_no_delimiter():
    task = Task(name="t", form=Form.SCHEMA, file="t")
    row = {"context_options": ["one ", "two"], "continuation": "end", "gold": 0}
    assert prompts.contexts(task, row, after=False) == ["one ", "two"]
    assert prompts.contexts(task, row, after=True) == ["\none ", "\ntwo"]


def test_long_prompts_lose_their_first_tokens_each_by_its_own_length(tiny):
    _, tokenizer = tiny
    task = Task(name="t", form=Form.CHOICE, file="t")
    rows = [{"query": "a cat sat on a mat " * 10, "choices": ["a dog", "a dog ran at a cat"], "gold": 0}]
    made = list(prompts.prompts(task, pool_of(*rows), shots=0, seed=0, lead=" "))
    (whole,) = prompts.tokenise(made, tokenizer, max_len=2048, where="t")
    (cut,) = prompts.tokenise(made, tokenizer, max_len=12, where="t")
    assert whole.cut == 0
    assert cut.cut == sum(map(len, whole.sequences)) - 24
    for full, short, (start, end), (begin, stop) in zip(
        whole.sequences, cut.sequences, whole.spans, cut.spans, strict=True
    ):
        assert short == full[-12:]
        assert (stop, stop - begin) == (12, end - start)


def test_continuation_longer_than_the_limit_is_refused(tiny):
    _, tokenizer = tiny
    task = Task(name="t", form=Form.LANGUAGE, file="t")
    made = list(prompts.prompts(task, pool_of({"context": "a", "continuation": "cat " * 9}), shots=0, seed=0, lead=" "))
    length = len(prompts.plain(tokenizer, made[0].continuations)[0])
    for limit in (length - 1, length):
        with pytest.raises(TooLongError, match="does not fit") as caught:
            prompts.tokenise(made, tokenizer, max_len=limit, where="t.jsonl")
        assert caught.value.where == "t.jsonl, row 1"
    prompts.tokenise(made, tokenizer, max_len=length + 1, where="t.jsonl")


def test_nothing_before_the_continuation_is_refused(tiny):
    _, tokenizer = tiny
    task = Task(name="t", form=Form.LANGUAGE, file="t")
    made = list(prompts.prompts(task, pool_of({"context": "", "continuation": "a"}), shots=0, seed=0, lead=" "))
    with pytest.raises(InputError, match="what stands before the continuation has no token"):
        prompts.tokenise(made, tokenizer, max_len=64, where="t.jsonl")
