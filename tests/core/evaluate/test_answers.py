"""Generated answers: the golden normalisation and decodings, and greedy whatever the checkpoint says."""

import json

import pytest

from vlmkit.core.evaluate.answers import answer_text, clean, generate, is_right, normalise
from vlmkit.core.evaluate.dclm import TASKS
from vlmkit.core.evaluate.prompts import Item


def test_normalisation_is_the_original_one(shared):
    for line in (shared("icl-vectors") / "normalise.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        cleaned = clean(row["output"], early_stopping=row["early_stopping"], cot_delimiter=row["cot_delimiter"])
        assert cleaned == row["cleaned"]
        assert [normalise(label) for label in row["labels"]] == row["cleaned_labels"]
        assert is_right(cleaned, row["labels"]) == bool(row["correct"])


def test_rules_of_right_answers():
    assert is_right(clean("70 apples"), ["7"])
    assert clean("The_Cat's  'an’ 1,000 hat.") == "cat s 1 000 hat"
    assert clean("x #### 3 #### 4\n\nQ: more", early_stopping=("\n\n",), cot_delimiter=" #### ") == "4"
    assert is_right("anything", ["the"])  # a label that becomes empty


@pytest.mark.parametrize("name", ["triviaqa_sm_sub", "gsm8k_cot"])
def test_answers_are_the_original_ones(golden, golden_items, scored, name):
    how, (items, length) = TASKS[name].format, golden_items(name)
    found = generate(*golden, items, max_new_tokens=length, early_stopping=how.early_stopping)
    for index, ids in found:
        wanted = scored[name][items[index].line]
        text = answer_text(golden[1], ids)
        cleaned = clean(text, early_stopping=how.early_stopping, cot_delimiter=how.cot_delimiter)
        assert is_right(cleaned, items[index].labels) == bool(wanted["correct"])
        if wanted["margin"] > 1e-3:
            assert (ids, cleaned) == (wanted["generated_ids"], wanted["cleaned"])


def prompts_of(tokenizer):
    texts = ("a cat", "the answer of a question is a word. a dog", "a", "a mat and a dog ran at a cat. the")
    return [Item(i, [tokenizer(text)["input_ids"]], [], 0, [], 0) for i, text in enumerate(texts)]


def test_padding_and_sampling_settings_do_not_change_answers(tiny):
    model, tokenizer = tiny
    items = prompts_of(tokenizer)
    alone = dict(generate(model, tokenizer, items, max_new_tokens=12, batch_size=1))
    before = model.generation_config.to_dict()
    model.generation_config.update(do_sample=True, temperature=3.0, top_k=50, num_beams=1)
    try:
        together = dict(generate(model, tokenizer, items, max_new_tokens=12, batch_size=4))
    finally:
        model.generation_config.update(**before)
    assert together == alone
    assert len(alone) == 4
    assert any(alone.values())


def test_decoding_stops_early_and_the_cut_text_is_the_same(tiny):
    model, tokenizer = tiny
    items = prompts_of(tokenizer)
    whole = dict(generate(model, tokenizer, items, max_new_tokens=24))
    stop = next(letter for letter in tokenizer.decode(whole[0]) if letter.isascii() and letter.isalnum())
    short = dict(generate(model, tokenizer, items, max_new_tokens=24, early_stopping=(stop,)))
    for index, ids in whole.items():
        assert short[index] == ids[: len(short[index])]
        cut = clean(answer_text(tokenizer, short[index]), early_stopping=(stop,))
        assert cut == clean(answer_text(tokenizer, ids), early_stopping=(stop,))
    assert len(short[0]) < len(whole[0])
