import json
import subprocess
import sys

import pytest

from vlmkit.core.errors import InputError
from vlmkit.core.io.files import sweep
from vlmkit.core.io.tokens import TokenSet
from vlmkit.core.models.tokenizers import END_OF_TEXT, load_tokenizer, save_tokenizer, train_tokenizer, write_tokens

TEXTS = [
    "It is a truth universally acknowledged, that a single man in possession of a good fortune must want a wife.",
    "def fold(x, k):\n    return x.reshape(x.shape[0], -1)  # a view",
    "Ærlighed varer længst — 誠実は最良の策 🙂 \x00\t\r\n  trailing  ",
] * 5
SCRIPT = """
import hashlib, sys
from vlmkit.core.models.tokenizers import train_tokenizer
words = [f"word{i % 37} and a{i % 11} of {i}" for i in range(2000)]
print(hashlib.sha256(train_tokenizer(words, vocab_size=600).backend_tokenizer.to_str().encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, vocab_size=400)


def test_any_text_comes_back(tokenizer):
    for text in [*TEXTS, "unseen ∑ ﷽ text", "", " "]:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_end_of_text_is_token_zero(tokenizer):
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == tokenizer.convert_tokens_to_ids(END_OF_TEXT) == 0
    assert len(tokenizer) == 400


def test_a_word_with_its_space_is_one_token(tokenizer):
    assert len(tokenizer(" a")["input_ids"]) == 1


def test_the_vocabulary_stops_where_the_texts_do():
    assert len(train_tokenizer(["ab"], vocab_size=4096)) < 260
    assert len(train_tokenizer([], vocab_size=300)) == 257


def test_a_vocabulary_that_cannot_hold_the_bytes_is_refused():
    with pytest.raises(InputError, match="too small"):
        train_tokenizer(TEXTS, vocab_size=256)


def test_training_gives_the_same_tokenizer_whatever_the_threads():
    digests = set()
    for threads in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            env={"RAYON_NUM_THREADS": threads},
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_lone_surrogate_is_replaced_not_fatal(tokenizer, tmp_path):
    broken = "a \ud800 b"
    train_tokenizer([broken], vocab_size=300)
    assert write_tokens([broken], tokenizer, tmp_path)[0] == 1


def test_written_tokens_are_the_texts_with_an_end_each(tokenizer, tmp_path):
    documents, count = write_tokens(iter(TEXTS), tokenizer, tmp_path, batch=4)
    tokens = TokenSet(tmp_path)
    assert (documents, count) == (len(TEXTS), len(tokens)) == (tokens.num_documents, len(tokens))
    assert tokens.vocab_bound == len(tokenizer)
    start = 0
    for text, stop in zip(TEXTS, tokens.doc_ends(), strict=True):
        ids = tokens.read(start, stop)
        assert ids[-1] == 0
        assert tokenizer.decode(ids[:-1]) == text
        start = stop


def test_a_text_that_spells_the_end_does_not_end_a_document(tokenizer, tmp_path):
    text = f"before{END_OF_TEXT}after"
    write_tokens([text, ""], tokenizer, tmp_path)
    ids = TokenSet(tmp_path).read(0, len(TokenSet(tmp_path)))
    assert (ids == 0).sum() == 2
    assert tokenizer.decode(ids[:-2]) == text


def test_batches_do_not_change_the_bytes(tokenizer, tmp_path):
    for batch in (1, 7):
        write_tokens(TEXTS, tokenizer, tmp_path / str(batch), batch=batch)
    names = sorted(p.relative_to(tmp_path / "1") for p in (tmp_path / "1").rglob("*") if p.is_file())
    assert [str(n) for n in names] == [
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "tokens-00000.safetensors",
    ]
    assert all((tmp_path / "1" / n).read_bytes() == (tmp_path / "7" / n).read_bytes() for n in names)


def test_a_tokenizer_is_saved_with_the_same_bytes_wherever_it_comes_from(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path / "a")
    save_tokenizer(load_tokenizer(tmp_path / "a"), tmp_path / "b")
    save_tokenizer(load_tokenizer(tmp_path / "b"), tmp_path / "c")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (
            (tmp_path / "a" / name).read_bytes()
            == (tmp_path / "b" / name).read_bytes()
            == (tmp_path / "c" / name).read_bytes()
        )
        assert str(tmp_path) not in (tmp_path / "b" / name).read_text()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_what_a_killed_run_leaves_of_a_tokenizer_is_swept_away(tokenizer, tmp_path):
    code = """
import os, sys
from vlmkit.core.models import tokenizers
tokenizer = tokenizers.load_tokenizer(tokenizers.Path(sys.argv[1]))
tokenizers.atomic = lambda path: os._exit(9)  # killed between the library's files and ours
tokenizers.save_tokenizer(tokenizer, tokenizers.Path(sys.argv[2]))
"""
    save_tokenizer(tokenizer, tmp_path / "whole")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "whole", tmp_path / "half"], check=False)
    assert done.returncode == 9
    assert list((tmp_path / "half").rglob("*.json"))
    sweep(tmp_path / "half")
    assert not list((tmp_path / "half").iterdir())


@pytest.mark.parametrize("place", [".", "tokenizer", "model"])
def test_a_tokenizer_is_found_in_the_folder_or_below(tokenizer, tmp_path, place):
    save_tokenizer(tokenizer, tmp_path / place)
    assert load_tokenizer(tmp_path)(TEXTS[0])["input_ids"] == tokenizer(TEXTS[0])["input_ids"]


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match="no tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": 3}', ""])
def test_a_damaged_tokenizer_is_named(tokenizer, tmp_path, content):
    save_tokenizer(tokenizer, tmp_path)
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_tokenizer(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_tokenizer_without_an_end_is_refused(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k not in {"eos_token", "pad_token"}})
    )
    with pytest.raises(InputError, match="no end-of-text"):
        write_tokens(TEXTS, load_tokenizer(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
