"""Compiled n-grams, signatures and Bloom filters are those of plain Python, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.core.curate import bloom, minhash
from vlmkit.cuda import ngrams
from vlmkit.cuda.build import load

PIECES = [
    *"aAb1_ ,.\n\n\r\t²é漢ßİ\u0301\u200d\ud800", "one two ", "three four five six seven ", "\n\n", "the ",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)

pytestmark = pytest.mark.skipif(load("ngrams", "cpu") is None, reason="there is no C++ compiler")


@settings(max_examples=200, deadline=None)
@given(texts)
def test_sets_of_ngrams_and_their_signatures(text):
    found = ngrams.shingles(text, minhash.PLACES)
    assert np.array_equal(found, ngrams.reference_shingles(text, minhash.PLACES))
    signed = [do(found, minhash.MULTIPLIERS, minhash.OFFSETS) for do in (ngrams.signature, ngrams.reference_signature)]
    assert np.array_equal(*signed)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1, max_size=5), st.sampled_from([0.5, 0.01, 1e-6]), st.sampled_from([0.0, 0.5, 0.8]))
def test_old_both_takes_the_same_paragraphs_and_leaves_the_same_filter(pages, rate, threshold):
    pages = [*pages, "\n".join(pages), pages[0]]
    found = []
    for plain in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if plain:
                patch.setattr(ngrams, "load", lambda name, target: None)
            expected = sum(map(bloom.count_ngrams, pages))
            judge = bloom.OldBoth(bloom.Filter(expected, rate=rate), threshold)
            found.append((expected, [judge(page) for page in pages], judge.removed, judge.seen.bytes.tobytes()))
    assert found[0] == found[1]
