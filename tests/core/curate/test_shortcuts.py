"""Rules that look only where something can be found say what they would say if they looked everywhere."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.core.curate import modifiers
from vlmkit.core.curate.modifiers import banned_in_lines, needed_by
from vlmkit.core.curate.urls import IPV4, UrlRemoval, shipped_tlds
from vlmkit.cuda.text import Lines

PIECES = [
    *" \t\n\n\n\r\xa0\u3000aAB1²_.,:/-@é\u0131\u017f\u212a", "items in cart",
    "ITEM\u017f in cart", "Read more...", "sign-in",
    "SIGN-IN ", "read more and", "3 likes", "1.2K Views", "12 li\u212aes!", "ABC DEF", "123", "https://", "a.org",
    "www.b.co.uk/x?y=1", "1.2.3.4", "version 10.20.30.40:80/a", "x.com.", "end.The", "    \t      \n\n", ".com", "xx",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
ENTRIES = ["items in cart", "Read more...", "Sign-in", "colou?r", "a|b", "x{2}", "[ab]c", "one two+", "s-*t"]


RULES = [
    modifiers.uppercase_ratio_line_modifier,
    modifiers.numeric_ratio_line_modifier,
    modifiers.counter_line_modifier,
    lambda text: modifiers.line_length_modifier(text, min_length=2),
    lambda text: modifiers.line_length_modifier(text, max_length=3),
    *(
        lambda text, entry=entry, where=where, only=only: modifiers.substring_line_modifier(
            text, pattern=banned_in_lines([entry], location=where), max_length=4, remove_substring_only=only,
            needed=needed_by([entry]),
        )
        for entry in ENTRIES
        for where, only in (("any", True), ("suffix", True), ("prefix", False))
    ),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(texts)
def test_modifiers_of_lines(text):
    short = [rule(text) for rule in RULES]
    with pytest.MonkeyPatch.context() as patch:
        inf = float("inf")
        patch.setattr(modifiers, "lines", lambda text: Lines(inf, inf, -inf, inf, 1))
        patch.setattr(modifiers, "mentions", lambda text, needed: True)
        assert [rule(text) for rule in RULES] == short


@pytest.fixture(scope="module")
def removals():
    return UrlRemoval(shipped_tlds()), UrlRemoval(shipped_tlds(), fixed=True)


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_addresses(removals, text):
    for removal, always in zip(removals, (False, True), strict=True):
        whole = removal._url.sub("", text) if always or removal._guard.match(text) else text
        whole = IPV4.sub("", whole)
        found = removal(text)
        assert found == whole if whole else not isinstance(found, str)
        assert removal.suspects(text) or (whole == text and not removal._url.search(text))
        assert removal.differs(text) == (not removal._guard.match(text) and removal._url.search(text) is not None)


@pytest.mark.parametrize(
    ("entry", "needed"),
    [("items in cart", "items in cart"), ("Read more...", "read more"), ("colou?r", "r"), ("a|b", ""), ("x{2}", "")],
)
def test_what_a_match_needs(entry, needed):
    assert needed_by([entry]) == (needed,)
    assert re.compile(entry)
