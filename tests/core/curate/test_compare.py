"""Comparison of all pages: who keeps a unit, by order and by selection, and what the normalisers make of texts."""

import numpy as np
import pytest

from vlmkit.core.curate.compare import Comparison, exact_dedup, joined, marks_of, normalizer
from vlmkit.core.curate.operations import Setting
from vlmkit.core.curate.ops import get
from vlmkit.core.curate.recipe import Kitchen, step
from vlmkit.core.errors import InputError


def left(pages: list[dict], cut: int = 0, **kwargs: object) -> list[object]:
    """What each page has left under `text`, None of a dropped one; the pages lie in two parts, cut at a number."""
    one = exact_dedup(Setting(), **kwargs)  # type: ignore[arg-type]
    marks = joined([marks_of([one.mark(page) for page in some]) for some in (pages[:cut], pages[cut:])])
    kept = one.judge(marks) == np.arange(len(marks.units))
    ends = np.cumsum(marks.counts)
    return [
        None if one.settle(page, kept[end - count : end]) else page["text"]
        for page, end, count in zip(pages, ends, marks.counts, strict=True)
    ]


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_the_first_in_order_keeps_a_unit_and_the_least_by_selection(cut):
    def texts() -> list[dict]:
        return [
            {"text": ["a", "b", "a"], "n": 3, "s": "é"}, {"text": ["b", "c"], "n": 1, "s": "z"},
            {"text": ["a"], "n": 1, "s": "zz"}, {"text": "d", "n": 9, "s": ""}, {"text": "d", "n": 9, "s": "x"},
        ]  # fmt: skip

    assert left(texts(), cut) == [["a", "b"], ["c"], None, "d", None]
    assert left(texts(), cut, selection_key="n") == [None, ["b", "c"], ["a"], "d", None]
    assert left(texts(), cut, selection_key="n", selection_reverse=True) == [["a", "b"], ["c"], None, "d", None]
    assert left(texts(), cut, selection_key="s") == [None, ["b", "c"], ["a"], "d", None]
    assert left(texts(), cut, selection_key="s", selection_reverse=True) == [["a", "b"], ["c"], None, None, "d"]


def test_many_units_are_kept_once_each_and_by_the_first():
    generator = np.random.default_rng(0)
    pages = [
        {"text": [str(one) for one in generator.integers(0, 300, size=generator.integers(1, 9))]} for _ in range(500)
    ]
    whole = [list(page["text"]) for page in pages]
    seen: set[str] = set()
    expected: list[object] = []
    for units in whole:
        mine = [one for one in dict.fromkeys(units) if one not in seen]
        seen |= set(mine)
        expected.append(mine or None)
    assert left(pages, 77) == expected


def test_normalisers_make_of_texts_what_dclm_compares():
    for name, text, made in (
        ("normalize_url", "https://www.a.org/x/?utm_source=b", "a.org/x"),
        ("normalize_url", "http://a.org/x?ref=1&y", "a.org/x"),
        ("normalize_url", "ftp://www.a.org/?q=1/", "ftp://www.a.org/?q=1"),
        ("normalize_whitespace_and_lowercase", "\t A  B\n", "a  b"),
        ("normalize_timestamps", "1970-01-02T00:00:01Z", 86401.0),
        ("normalize_timestamps", "yesterday", -1.0),
        ("hash_text", "", "d41d8cd98f00b204e9800998ecf8427e"),
    ):
        found = normalizer(name)
        assert found is not None
        assert found(text) == made


def test_ccnet_compares_without_accents_digits_and_marks():
    pytest.importorskip("unidecode")
    found = normalizer("ccnet_dedup_normalizer")
    assert found is not None
    assert found(" Été 2024…\x00 „oui“ ") == "ete 0000 oui"


def test_a_page_alone_and_wrong_words_are_refused():
    alone = get("exact_dedup")(content_key="url")
    with pytest.raises(InputError, match="compares all pages with one another"):
        alone({"text": "a", "url": "b"})
    for kwargs, what in (
        ({"normalise": "x"}, "takes no 'normalise'"), ({"normalize": "lower"}, "no normaliser 'lower'"),
        ({"content_key": "title"}, "notes 'title'"), ({"content_key": "metadata"}, "no text and no list"),
        ({"selection_key": "metadata"}, "gives no order"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=what) as caught:
            Kitchen([step("counter_line_modifier"), step("exact_dedup", **kwargs)], Setting())
        assert caught.value.where.startswith("step 2 of the recipe, exact_dedup")
    with pytest.raises(InputError, match="a text there, others a number"):
        left([{"text": "a", "n": 1}, {"text": "b", "n": "1"}], 1, selection_key="n")
    assert isinstance(exact_dedup(Setting()), Comparison)
