"""Words: the pattern of UAX 29 against its rules applied one by one, and the ASCII shortcut against the pattern."""

import functools
import itertools
import random

import regex

from vlmkit.cuda.words import SEGMENTS, count_words, segment_words

CLASSES = [
    "CR",
    "LF",
    "Newline",
    "Extend",
    "ZWJ",
    "Regional_Indicator",
    "Format",
    "Katakana",
    "Hebrew_Letter",
    "ALetter",
]
CLASSES += ["Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum", "Numeric", "ExtendNumLet"]
CLASSES += ["WSegSpace"]
AHLETTER, SKIPPED = {"ALetter", "Hebrew_Letter"}, {"Extend", "Format", "ZWJ"}


@functools.cache
def word_break_class(char: str) -> str:
    return next((c for c in CLASSES if regex.match(rf"\p{{WB={c}}}", char)), "Other")


def cut_between(text: str, i: int) -> bool:
    """Whether UAX 29 cuts before position i: the rules in their order, as the annex states them."""
    classes = [word_break_class(char) for char in text]
    left, right = classes[i - 1], classes[i]
    lines = {"CR", "LF", "Newline"}
    if left == "CR" and right == "LF":
        return False
    if left in lines or right in lines:
        return True
    if left == "ZWJ" and regex.match(r"\p{Extended_Pictographic}", text[i]):
        return False
    if left == right == "WSegSpace":
        return False
    if right in SKIPPED:
        return False
    before = reduced(classes[:i])
    after = [c for c in classes[i + 1 :] if c not in SKIPPED]
    prev, prev2, follow = before[-1], before[-2] if len(before) > 1 else "", after[0] if after else ""
    quote, mid_letter = "Single_Quote", {"MidLetter", "MidNumLet", "Single_Quote"}
    mid_number = {"MidNum", "MidNumLet", "Single_Quote"}
    joined = (
        (prev in AHLETTER and right in AHLETTER)
        or (prev in AHLETTER and right in mid_letter and follow in AHLETTER)
        or (prev2 in AHLETTER and prev in mid_letter and right in AHLETTER)
        or (prev == "Hebrew_Letter" and right == quote)
        or (prev == "Hebrew_Letter" and right == "Double_Quote" and follow == "Hebrew_Letter")
        or (prev2 == "Hebrew_Letter" and prev == "Double_Quote" and right == "Hebrew_Letter")
        or (prev in {"Numeric", *AHLETTER} and right in {"Numeric", *AHLETTER})
        or (prev2 == "Numeric" and prev in mid_number and right == "Numeric")
        or (prev == "Numeric" and right in mid_number and follow == "Numeric")
        or (prev == right == "Katakana")
        or (prev in {*AHLETTER, "Numeric", "Katakana", "ExtendNumLet"} and right == "ExtendNumLet")
        or (prev == "ExtendNumLet" and right in {*AHLETTER, "Numeric", "Katakana"})
    )
    pairs = len(before) - len(regex.sub("R+$", "", "".join("R" if c == "Regional_Indicator" else "x" for c in before)))
    return not (joined or (right == "Regional_Indicator" and pairs % 2 == 1))


def reduced(classes: list[str]) -> list[str]:
    """Classes without the Extend, Format and ZWJ that rule WB4 hangs on the character before them."""
    kept: list[str] = []
    for c in classes:
        if c in SKIPPED and kept and kept[-1] not in {"CR", "LF", "Newline"}:
            continue
        kept.append("Other" if c in SKIPPED else c)
    return kept


def test_the_pattern_cuts_where_the_rules_of_the_annex_cut():
    letters = "ab1_ :.,;'\"\u05d0\u05d1\u30a2\u30ab\u4e00\u0301"
    letters += "\u200d\U0001f600\U0001f1e6\r\n \u00ad\u2019\u00b7\u0e01\U0001f170\u2003"
    rng = random.Random(0)
    for _ in range(4000):
        text = "".join(rng.choice(letters) for _ in range(rng.randint(1, 10)))
        cuts = [0, *(i for i in range(1, len(text)) if cut_between(text, i)), len(text)]
        expected = [text[a:b] for a, b in itertools.pairwise(cuts)]
        assert SEGMENTS.findall(text) == expected, ascii(text)


def test_the_ascii_shortcut_finds_the_same_words():
    rng = random.Random(1)
    for _ in range(5000):
        text = "".join(rng.choice("ab12_:.,;'\" \n-") for _ in range(rng.randint(1, 14)))
        assert segment_words(text) == [w for w in SEGMENTS.findall(text) if w[0].isalnum()], ascii(text)


def test_words_that_fasttext_counts():
    assert (
        count_words("one two\u00a0three -four\n5\v\x00six “seven") == 4
    )  # no-break space does not cut; - and “ begin no word
