"""Compiled counts of words, lines and repetition are those of plain Python, for every text."""

import itertools
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.cuda import text as native
from vlmkit.cuda.build import load
from vlmkit.cuda.characters import characters
from vlmkit.cuda.words import SEGMENTS

PIECES = [
    *"aAbBkK1²2_.,:;'\" \t\n\r\0#*-•●…\x85\xa0\u3000\u2028\xad\ud800\u0600\u066b\u200d\u0301אבアィ漢あéß",
    *"\U0001f1e6\U0001f469\U0001f3fb\u212a",
    *(
        "the ",
        "The",
        " of\0",
        " that ",
        "...",
        ". . .",
        "…\n",
        "\n\n",
        "\n- ",
        "a.b",
        "1,2",
        "one two three ",
        "li\u212aes",
        "3 VIEWS",
    ),
]
texts = st.lists(st.sampled_from(PIECES), max_size=80).map("".join) | st.text(max_size=40)

pytestmark = pytest.mark.skipif(load("text", "cpu") is None, reason="there is no C++ compiler")


@settings(max_examples=400, deadline=None)
@given(texts)
def test_a_text_is_measured_as_plain_python_does(text):
    assert native.counts(text) == native.reference_counts(text)
    assert native.repetition(text) == native.reference_repetition(text)
    assert native.lines(text) == native.reference_lines(text)


@settings(max_examples=200, deadline=None)
@given(texts, st.sampled_from([str.isupper, str.isdigit]), st.sampled_from([0.0, 0.25, 0.5, 0.999999, 1.0]))
def test_lines_over_a_share_are_those_of_plain_python(text, flag, bound):
    assert native.lines_over(text, flag, bound) == native.reference_lines_over(text, flag, bound)


@settings(max_examples=300, deadline=None)
@given(texts, st.lists(st.text("abkiz019 -", max_size=9) | st.sampled_from(["the", "one two", "views"]), max_size=3))
def test_words_are_found_where_plain_python_finds_them(text, words):
    assert native.mentions(text, words) == native.reference_mentions(text, words)
    for at in range(0, len(text) - 2, 7):  # what is there, in either case, however far in
        word = text[at : at + 3]
        if word.isascii() and word.lower().strip("abcdefghijklmnopqrstuvwxyz0123456789 -") == "":
            assert native.mentions(text + "." * 40, [word.lower()])


@settings(max_examples=400, deadline=None)
@given(texts)
def test_segments_end_where_the_pattern_of_the_annex_ends_them(text):
    ends = [0, *native.segments(text)]
    assert [text[a:b] for a, b in itertools.pairwise(ends)] == SEGMENTS.findall(text)


def test_repetition_by_hand():
    found = native.repetition("one two\n\none two\nthree")
    assert found.lines == (2, 14, 3, 19)
    assert found.paragraphs == (0, 0, 2, 20)
    assert (found.tops[:3], found.covered[:3]) == ((6, 12, 0), (12, 12, 0))  # "one" twice, "one two" twice
    assert found.chars == 17


def test_every_character_is_what_the_interpreter_says():
    table = characters()
    for flag, bit in ((str.isspace, 32), (str.isalnum, 64), (str.isalpha, 128), (str.isupper, 256), (str.isdigit, 512)):
        assert all(bool(table[point] & bit) == flag(chr(point)) for point in range(0, len(table), 7))


def test_without_a_compiler_the_same_comes_out():
    code = "from vlmkit.cuda.text import counts, repetition; print(counts('a b. . .'), repetition('a b a b')[2][1])"
    command = [sys.executable, "-c", code]
    found = [
        subprocess.run(command, env={"VLMKIT_KERNELS": mode, "PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
        for mode in ("off", "auto")
    ]
    assert found[0].stdout == found[1].stdout != b""
