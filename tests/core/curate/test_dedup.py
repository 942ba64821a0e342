"""Duplicates: estimates against true similarity, planted edits found, nothing removed unverified."""

import random

import numpy as np
import pytest

from vlmkit.core.curate import minhash
from vlmkit.core.curate.dedup import ALL_PAIRS, GIANT, candidates, exact_matches, near_matches, text_digest
from vlmkit.core.curate.minhash import bands, jaccard, shingles, signature

VOCABULARY = [f"word{i}" for i in range(5000)]


def prose(rng: random.Random, length: int = 300) -> str:
    return " ".join(rng.choices(VOCABULARY, k=length))


def edited(text: str, rate: float, rng: random.Random) -> str:
    return " ".join(rng.choice(VOCABULARY) if rng.random() < rate else word for word in text.split())


def deduplicate(texts: list[str], threshold: float = 0.7):
    sets = [shingles(text) for text in texts]
    columns = np.array([bands(signature(one)) for one in sets]).reshape(-1, minhash.BANDS).T
    pairs, crowds = candidates(columns, np.arange(len(texts)))
    return near_matches(pairs, crowds, count=len(texts), threshold=threshold, shingles_of=sets.__getitem__)


def test_signatures_agree_as_often_as_sets_overlap():
    rng = random.Random(0)
    error = []
    for rate in (0.01, 0.03, 0.1, 0.3):
        for _ in range(10):
            a = prose(rng, 600)
            x, y = shingles(a), shingles(edited(a, rate, rng))
            error.append((signature(x) == signature(y)).mean() - jaccard(x, y))
    # one signature of 120 values has a standard error of at most 0.046; the mean of 40 of 0.0073
    assert abs(np.mean(error)) < 4 * 0.0073
    assert np.abs(error).max() < 4 * 0.046


def test_shingles_are_the_word_5grams_without_case_and_punctuation():
    assert np.array_equal(shingles("One two, three four five six!"), shingles("one two three FOUR five - six"))
    assert len(shingles("one two three four five six")) == 2
    assert len(shingles("a b")) == 1
    assert len(shingles("… !")) == 0
    assert jaccard(shingles("one two three four five six"), shingles("zero one two three four five")) == pytest.approx(
        1 / 3
    )


def test_texts_equal_but_for_white_space_and_normal_form_have_one_digest():
    assert text_digest("a  b\n\nc") == text_digest(" a b c ") == text_digest("a b c")
    assert text_digest("é") == text_digest("e\u0301")
    assert text_digest("a b") != text_digest("A b")
    digests = np.frombuffer(b"".join(text_digest(t) for t in ("x", "y", "x", "z", "y", "x")), np.uint64).reshape(-1, 2)
    assert exact_matches(digests).tolist() == [-1, -1, 0, -1, 1, 0]


@pytest.mark.parametrize(("rate", "least"), [(0.01, 0.995), (0.03, 0.97)])
def test_planted_edits_are_found(rate, least):
    rng = random.Random(1)
    texts, near = [prose(rng) for _ in range(300)], 0
    copies = [edited(text, rate, rng) for text in texts]
    found = deduplicate(texts + copies)
    hits = 0
    for i, (text, copy) in enumerate(zip(texts, copies, strict=True)):
        if jaccard(shingles(text), shingles(copy)) >= 0.7:
            near += 1
            hits += found.match[300 + i] == i
    assert near > 100
    assert hits >= least * near


def test_every_removal_names_a_true_match():
    rng = random.Random(2)
    texts = [edited(prose(random.Random(i % 40)), rng.choice([0, 0.02, 0.05, 0.1, 0.3]), rng) for i in range(400)]
    found = deduplicate(texts)
    removed = np.flatnonzero(found.match >= 0)
    assert len(removed) > 50
    for row in removed.tolist():
        similarity = jaccard(shingles(texts[row]), shingles(texts[found.match[row]]))
        assert similarity == found.similarity[row] >= 0.7
    kept = [set(shingles(texts[i]).tolist()) for i in np.flatnonzero(found.match < 0)]
    assert len(kept) >= 40


def test_the_first_in_order_is_kept_and_matched_where_it_is_near():
    rng = random.Random(3)
    text = prose(rng)
    texts = [text, prose(rng), edited(text, 0.01, rng), text]
    assert deduplicate(texts).match.tolist() == [-1, -1, 0, 0]
    assert deduplicate(texts[::-1]).match.tolist() == [-1, 0, -1, 0]


def test_short_and_empty_texts_are_not_all_one():
    assert deduplicate(["yes", "no", "yes", "maybe so"]).match.tolist() == [-1, -1, 0, -1]


def test_a_crowd_of_copies_is_joined_without_comparing_all_pairs():
    rng = random.Random(4)
    text = prose(rng)
    texts = [edited(text, 0.002, rng) for _ in range(ALL_PAIRS * 5)]
    compared = []
    sets = [shingles(one) for one in texts]
    columns = np.array([bands(signature(one)) for one in sets]).T
    pairs, crowds = candidates(columns, np.arange(len(texts)))
    near = near_matches(
        pairs, crowds, count=len(texts), threshold=0.7, shingles_of=lambda i: (compared.append(i), sets[i])[1]
    )
    assert (near.match >= 0).sum() == len(texts) - 1
    assert near.clusters == [len(texts)]
    assert len(compared) < len(texts) ** 2 / 4


def test_a_long_chain_of_small_steps_does_not_swallow_everything():
    size = GIANT + 200
    sets = [np.arange(i * 10, i * 10 + 100, dtype=np.uint64) for i in range(size)]  # neighbours: J = 90/110
    pairs = np.array([[i, i + 1] for i in range(size - 1)])
    near = near_matches(pairs, [], count=size, threshold=0.7, shingles_of=sets.__getitem__)
    assert near.clusters == [size]
    kept = set(np.flatnonzero(near.match < 0).tolist())
    assert len(kept) == size / 2
    assert all(near.match[i] in kept for i in range(size) if i not in kept)
