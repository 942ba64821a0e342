"""Scores against the original scorer, against a plain forward, and for any batch size."""

import json
from pathlib import Path

import pytest
import torch

from vlmkit.core.evaluate import prompts
from vlmkit.core.evaluate.dclm import TASKS
from vlmkit.core.evaluate.prompts import Item
from vlmkit.core.evaluate.scoring import Span, choose, distinct, score
from vlmkit.core.evaluate.tasks import Form, Pool, Task

SURE = 1e-3  # below this margin another order of sums may turn a prediction
SCORED = (
    "arc_easy", "piqa", "copa", "openbook_qa", "boolq", "commonsense_qa", "winograd", "jeopardy",
    "lambada_openai", "bigbench_qa_wikidata", "bigbench_dyck_languages", "bigbench_operators",
)  # fmt: skip


def items_of(tokenizer, rows, form=Form.CHOICE):
    """Items of rows (query, choices) for the tiny model."""
    made = []
    for number, (query, choices) in enumerate(rows):
        ids = tokenizer(query)["input_ids"]
        ends = [tokenizer(" " + choice)["input_ids"] for choice in choices]
        made.append(
            Item(number, [ids + end for end in ends], [(len(ids), len(ids) + len(end)) for end in ends], 0, [], 0)
        )
    return made


ROWS = [
    ("a cat", ["sat on a mat", "ran", "a dog at a question"]),
    ("the answer of a question is a word. a dog ran at a cat. a cat", ["sat", "ran at a mat"]),
    ("a", ["dog", "dog", "cat"]),
    ("a word is a word is a word is a word", ["a word"]),
    ("the answer of a question is a word. a dog ran at a dog", ["the mat", "question", "of", "on a mat and a dog"]),
]


@torch.inference_mode()
def plain(model, item):
    """Mean negative log-likelihoods of an item, one whole sequence at a time."""
    means = []
    for ids, (start, end) in zip(item.sequences, item.spans, strict=True):
        logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        means.append(-logits[range(start - 1, end - 1), ids[start:end]].mean().item())
    return means


@pytest.mark.parametrize("name", SCORED)
def test_scores_are_the_original_scorers(golden, golden_items, scored, name):
    task, (items, _) = TASKS[name], golden_items(name)
    for index, spans in score(golden[0], items):
        wanted = scored[name][items[index].line]
        chosen, correct = choose(task.form, spans, items[index].gold)
        if task.form is Form.LANGUAGE:
            assert spans[0].nll == pytest.approx(wanted["nll_sum"], abs=1e-4 * len(spans[0].tokens))
            assert spans[0].tokens == wanted["target_ids"]
        else:
            assert [span.mean for span in spans] == pytest.approx(wanted["nll_mean"], abs=1e-4)
            assert [len(span.tokens) for span in spans] == wanted["tokens"]
        if wanted["margin"] > SURE:
            assert correct == bool(wanted["correct"])
            if task.form is Form.LANGUAGE:
                assert spans[0].greedy == wanted["predicted_ids"]
            else:
                assert chosen == wanted["predicted"]


def test_choosing_by_the_sum_would_be_another_scorer(golden, golden_items):
    """specs/eval.md: openbook_qa is 0.725 by the mean, 0.400 by the sum."""
    items, _ = golden_items("openbook_qa")
    found = list(score(golden[0], items))
    by_sum = [min(range(len(s)), key=lambda i: s[i].nll) == items[index].gold for index, s in found]
    by_mean = [choose(Form.CHOICE, s, items[index].gold)[1] for index, s in found]
    assert (sum(by_mean) / 40, sum(by_sum) / 40) == (0.725, 0.4)


@pytest.mark.parametrize("arch", ["llama", "open_lm"])
@pytest.mark.parametrize("size", [{"batch_size": 1}, {"batch_size": 3}, {"batch_tokens": 1}, {"batch_tokens": 10**6}])
def test_scores_are_those_of_a_plain_forward_for_any_batch(tiny, arch, size):
    from vlmkit.core.models.presets import build_causal_lm

    tokenizer = tiny[1]
    model = tiny[0] if arch == "llama" else build_causal_lm(arch, "tiny", vocab_size=len(tokenizer), seed=3).eval()
    items = items_of(tokenizer, ROWS)
    found = dict(score(model, items, **size))
    assert sorted(found) == list(range(len(items)))
    for index, item in enumerate(items):
        assert [span.mean for span in found[index]] == pytest.approx(plain(model, item), abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}),
        ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 2}),
        ("mistral", {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
                     "num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8}),
    ],
)  # fmt: skip
def test_any_architecture_is_scored_on_copies_of_its_cache(tiny, kind, size):
    """Learned positions, slopes instead of positions, and a window that is shorter than the shared beginning."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tiny[1]
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **size)
    model = AutoModelForCausalLM.from_config(config).eval()
    items = items_of(tokenizer, ROWS)
    for index, spans in score(model, items, batch_tokens=10**6):
        assert [span.mean for span in spans] == pytest.approx(plain(model, items[index]), abs=1e-5)


def test_accuracy_does_not_depend_on_the_batch_size(golden, golden_items):
    for name in ("commonsense_qa", "winograd", "bigbench_operators"):
        task, (items, _) = TASKS[name], golden_items(name)
        results = {
            tuple(choose(task.form, s, items[i].gold) for i, s in sorted(score(golden[0], items, batch_size=size)))
            for size in (1, 7, 200)
        }
        assert len(results) == 1


def test_model_without_a_cache_scores_the_same(tiny):
    model, tokenizer = tiny
    items = items_of(tokenizer, ROWS)

    class Bare(torch.nn.Module):
        """The same model, seen as one that keeps no cache and knows no logits_to_keep."""

        device = torch.device("cpu")

        def forward(self, input_ids, use_cache=False):
            made = model(input_ids=input_ids)
            made.past_key_values = None
            return made

    found, wanted = dict(score(Bare(), items)), dict(score(model, items))
    for index in found:
        assert [s.nll for s in found[index]] == pytest.approx([s.nll for s in wanted[index]], abs=1e-4)


def test_truncated_choices_share_no_beginning_and_are_still_right(tiny):
    model, tokenizer = tiny
    rows = [{"query": "a cat sat on a mat and a dog " * 5, "choices": ["ran", "at a question of a word"], "gold": 0}]
    made = prompts.prompts(
        Task(name="t", form=Form.CHOICE, file="t"), Pool(None, rows, rows, [0], Path("t")), shots=0, seed=0, lead=" "
    )
    (item,) = prompts.tokenise(list(made), tokenizer, max_len=24, where="t")
    assert distinct(0, item).shared <= 1  # the words repeat
    ((_, spans),) = score(model, [item])
    assert [span.mean for span in spans] == pytest.approx(plain(model, item), abs=1e-5)


def test_equal_choices_tie_exactly_and_the_first_wins(tiny):
    model, tokenizer = tiny
    ((_, spans),) = score(model, items_of(tokenizer, [("a cat", ["sat", "ran", "sat"])]))
    assert spans[0] == spans[2]
    assert len(distinct(0, items_of(tokenizer, [("a cat", ["sat", "ran", "sat"])])[0]).sequences) == 2


def test_the_lowest_mean_wins_and_the_first_of_equals():
    def span(nll, tokens):
        return Span(nll, [0] * tokens, [0] * tokens)

    assert choose(Form.CHOICE, [span(4.0, 1), span(6.0, 3), span(2.0, 1)], 1) == (1, True)
    assert choose(Form.SCHEMA, [span(2.0, 1), span(4.0, 2)], 1) == (0, False)
    assert choose(Form.CHOICE, [span(400.0, 1), span(300.0, 1)], 1) == (1, True)  # exp would overflow for both
    assert choose(Form.LANGUAGE, [Span(0.1, [1, 2], [1, 2])], 0)[1]
    assert not choose(Form.LANGUAGE, [Span(0.1, [1, 2], [1, 3])], 0)[1]


def test_accuracies_are_the_original_ones(shared, golden, golden_items, scored):
    """Accuracy a task over the golden rows; jeopardy is the unweighted mean of its categories."""
    from vlmkit.core.evaluate.aggregate import accuracy

    wanted = {row["task"]: row for row in json.loads((shared("icl-vectors") / "accuracy.json").read_text())}
    for name in ("openbook_qa", "winograd", "jeopardy", "lambada_openai"):
        task, (items, _) = TASKS[name], golden_items(name)
        parts = {}
        for index, spans in score(golden[0], items):
            right, rows = parts.get(category := scored[name][items[index].line].get("category"), (0, 0))
            parts[category] = right + choose(task.form, spans, items[index].gold)[1], rows + 1
        assert torch.tensor(accuracy(list(parts.values())).value).item() == pytest.approx(
            wanted[name]["accuracy"], abs=1e-7
        )  # the original is a float32 quotient
