"""The heuristic rules: agreement with DCLM's own functions, and one tiny page for every reason to drop."""

import gzip
import json
from pathlib import Path

import pytest

from vlmkit.core.curate import rules
from vlmkit.core.curate.heuristics import LINES, heuristics
from vlmkit.core.curate.repetition import massive_web_repetition_filters
from vlmkit.core.curate.rules import Drop
from vlmkit.core.curate.words import count_words

VECTORS = Path(__file__).parents[4] / "shared/data/dclm-vectors/vectors.jsonl.gz"
STEPS = {  # step of the vectors -> our function and the rules that it may name
    1: rules.newline_removal_modifier,
    2: rules.page_length_filter,
    3: rules.word_length_filter,
    4: rules.symbol_ratio_filter,
    5: rules.bullet_count_filter,
    6: rules.ellipsis_count_filter,
    7: rules.alphabetic_word_ratio_filter,
    8: rules.stop_word_filter,
    9: massive_web_repetition_filters,
    10: count_words,
    11: rules.uppercase_ratio_line_modifier,
    12: rules.numeric_ratio_line_modifier,
    13: rules.counter_line_modifier,
    14: rules.line_length_modifier,
    15: LINES[4],
    16: LINES[5],
    17: LINES[6],
}


@pytest.fixture(scope="module")
def vectors() -> list[dict]:
    if not VECTORS.is_file():
        pytest.skip(f"{VECTORS} is not here")
    with gzip.open(VECTORS, "rt", encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


@pytest.mark.parametrize("step", STEPS)
def test_each_rule_decides_and_writes_as_dclm_does(vectors, step):
    for row in vectors:
        expected, found = row["ops"][step], STEPS[step](row["text"])
        if expected is False:
            assert isinstance(found, Drop), row["id"]
        else:
            text = row["text"] if expected is True else expected["text"] if isinstance(expected, dict) else expected
            assert found == text, row["id"]


def test_the_chain_decides_and_writes_as_dclm_does(vectors):
    names = {2: "page_length", 3: "word_length", 4: "symbol", 5: "bullet", 6: "ellipsis", 7: "alphabetic", 8: "stop"}
    names |= {9: "repetition", 11: "uppercase", 12: "numeric", 13: "counter", 14: "line_length", 18: "word_removal"}
    for row in vectors:
        first = row["ops"][0]  # URL removal, which is not among our rules: begin with what it leaves
        if first is False:
            continue
        start = row["text"] if first is True else first["text"]
        found, expected = heuristics(start), row["chain"]
        if "dropped_at" in expected:
            assert isinstance(found, Drop), row["id"]
            assert found.rule.startswith(names[expected["dropped_at"]]), row["id"]
        else:
            assert found == expected.get("text", row["text"]), row["id"]


PROSE = "The cat sat on the mat and looked at the bird that sang to it with joy"


def distinct(count: int) -> list[str]:
    """Words that do not repeat, of six letters, with two stop words before them."""
    letters = "bcdfghklmnprstvz"
    return ["the", "and", *[a + b + c + "eno" for a in letters for b in letters for c in letters][: count - 2]]


def grouped(size: int, tail: str) -> str:
    """Groups of distinct words, each followed by the same few."""
    words = distinct(120)
    return " ".join(f"{' '.join(words[i : i + size])} {tail}" for i in range(0, 120, size))


WORDS = distinct(72)
SEPARATE = " ".join(WORDS)
TEN_LINES = [" ".join(WORDS[i : i + 7]) for i in range(0, 70, 7)]
REASONS = {
    "page_length_filter": "the and a short page",
    "word_length_filter": "the to " + " ".join(f"extraordinarily{i:03d}x" for i in range(60)),
    "symbol_ratio_filter": SEPARATE + " #" * 9,
    "bullet_count_filter": "\n".join(f"- {word}" for word in WORDS),
    "ellipsis_count_filter": "\n".join([*(f"{line}…" for line in TEN_LINES[:4]), *TEN_LINES[4:]]),
    "alphabetic_word_ratio_filter": SEPARATE + " " + " ".join(str(1000 + i) for i in range(30)),
    "stop_word_filter": SEPARATE.replace("the and ", ""),
    "repetition_line_count": "\n".join([SEPARATE, *["dog"] * 3]),
    "repetition_paragraph_count": "\n\n".join([SEPARATE + "\nmuch more\nstill more\nand more\nagain so", "dog", "dog"]),
    "repetition_line_chars": "\n".join([SEPARATE, SEPARATE, *(f"{word} etc" for word in WORDS[10:18])]),
    "repetition_top_2gram": grouped(2, "won occ"),
    "repetition_top_3gram": grouped(5, "won occ ibu"),
    "repetition_top_4gram": grouped(9, "won occ ibu sal"),
    "repetition_repeated_5gram": " ".join([*WORDS[:12] * 2, *WORDS[12:24] * 2, *WORDS[24:36] * 2, *WORDS[36:]]),
    "uppercase_ratio_line_modifier": SEPARATE.upper(),
    "word_removal_ratio_filter": SEPARATE + "\n" + "\n".join(f"quack{i}" for i in range(9)),
}


@pytest.mark.parametrize("rule", REASONS)
def test_one_page_for_each_reason(rule):
    found = heuristics(REASONS[rule])
    assert isinstance(found, Drop)
    assert found.rule == rule
    assert found.value != found.threshold


def test_a_page_of_plain_prose_stays_as_it_is():
    assert heuristics(SEPARATE) == SEPARATE


@pytest.mark.parametrize(("count", "kept"), [(49, False), (50, True), (100_000, True), (100_001, False)])
def test_page_length_counts_both_ends_in(count, kept):
    assert isinstance(rules.page_length_filter("w " * count), str) is kept


def test_lines_that_only_count_or_shout_are_removed_and_the_rest_stays():
    long = " ".join(distinct(250))
    text = f"{long}\n3 likes\n1,204 comments\nSUBSCRIBE NOW PLEASE\n2024\nRead more...\n\n{PROSE}"
    assert heuristics(text) == f"{long}\n\n{PROSE}"


def test_a_word_in_several_repeated_ngrams_is_counted_once():
    drop = massive_web_repetition_filters(" ".join(distinct(60) * 2))
    assert drop == Drop("repetition_repeated_5gram", 1.0, 0.15)


def test_a_page_without_words_repeats_nothing_and_an_empty_one_is_dropped():
    assert massive_web_repetition_filters("… — !") == "… — !"
    assert isinstance(massive_web_repetition_filters(""), Drop)
