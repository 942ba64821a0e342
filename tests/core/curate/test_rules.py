"""The heuristic rules: agreement with DCLM's own functions, and one tiny page for every reason to drop."""

import gzip
import json
from pathlib import Path

import pytest

from vlmkit.core.curate import rules
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.ops import get
from vlmkit.core.curate.recipe import BASELINE, Kitchen
from vlmkit.core.curate.repetition import massive_web_repetition_filters
from vlmkit.core.curate.rules import Drop, judged

VECTORS = Path(__file__).parents[4] / "shared/data/dclm-vectors/vectors.jsonl.gz"


@pytest.fixture(scope="module")
def vectors() -> list[dict]:
    if not VECTORS.is_file():
        pytest.skip(f"{VECTORS} is not here")
    with gzip.open(VECTORS, "rt", encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


@pytest.mark.parametrize("number", range(len(BASELINE)), ids=lambda number: BASELINE[number].func)
def test_each_operation_decides_and_writes_as_dclm_does(vectors, number):
    operation = get(BASELINE[number].func)(**BASELINE[number].kwargs)
    told = 0
    for row in vectors:
        expected, page = row["ops"][number], {"text": row["text"]}
        if expected is None:
            continue
        told += 1
        found = operation(page)
        if expected is False:
            assert found == [], row["id"]
        else:
            assert found == [page], row["id"]
            assert found[0] is page
            text = expected["text"] if isinstance(expected, dict) else row["text"]
            assert page["text"] == text, row["id"]
            if BASELINE[number].func == "word_counter_enricher":
                assert page["previous_word_count"] == expected, row["id"]
    assert told > 900 or BASELINE[number].func == "word_removal_ratio_filter"


def test_the_chain_decides_and_writes_as_dclm_does(vectors):
    kitchen = Kitchen(BASELINE, Setting())
    for row in vectors:
        page, expected = {"text": row["text"]}, row["chain"]
        at = next((number for number, one in enumerate(kitchen.operations) if judged(one(page)) is not None), None)
        assert at == expected.get("dropped_at"), row["id"]
        if at is None:
            assert page["text"] == expected.get("text", row["text"]), row["id"]


def heuristics(text: str) -> str | Drop:
    """What the built-in recipe makes of a text."""
    page = {"text": text}
    dropped = Kitchen(BASELINE, Setting())(page)
    return page["text"] if dropped is None else dropped


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
    bounds = {"length_type": "word", "min_length": 50, "max_length": 100_000}
    found = rules.page_length_filter("w " * count, **bounds)
    assert found.value == count
    assert (judged(found) is None) is kept


def test_lines_that_only_count_or_shout_are_removed_and_the_rest_stays():
    long = " ".join(distinct(250))
    text = f"{long}\n3 likes\n1,204 comments\nSUBSCRIBE NOW PLEASE\n2024\nRead more...\n\n{PROSE}"
    assert heuristics(text) == f"{long}\n\n{PROSE}"


def test_a_word_in_several_repeated_ngrams_is_counted_once():
    drop = judged(massive_web_repetition_filters(" ".join(distinct(60) * 2)))
    assert drop == Drop("repetition_repeated_5gram", 1.0, 0.15)


def test_a_page_without_words_repeats_nothing_and_an_empty_one_is_dropped():
    assert judged(massive_web_repetition_filters("… — !")) is None
    assert judged(massive_web_repetition_filters("")) is not None


def test_shares_of_lines_are_judged_by_the_product_as_dclm_does():
    """bullets > ratio * lines and bullets / lines > ratio differ here and there by a rounding; the value tells both."""
    differ = 0
    for lines in range(1, 400):
        for bound in (0.3, 0.9, 0.7, 0.07):
            for count in range(max(0, int(bound * lines) - 1), min(lines, int(bound * lines) + 2) + 1):
                found = rules.of_lines("share", count, lines, bound)
                assert (judged(found) is not None) is (count > bound * lines)
                assert found.value == pytest.approx(count / lines, abs=1e-15)
                differ += found.value != count / lines
    assert differ
    assert judged(rules.of_lines("share", 0, 0, 0.3)) is None
