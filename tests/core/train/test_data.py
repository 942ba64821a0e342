"""Batches: an exact token budget, a pure function of the step, nothing trained on that is held out."""

import numpy as np
import pytest
import torch
from tiny import stream, token_set

from vlmkit.core.errors import InputError
from vlmkit.core.train.data import Stream, TokenBatches, Windows, count, split, whole


@pytest.mark.parametrize("tokens", [1, 16, 63, 64, 65, 700, 2047])
def test_exactly_as_many_tokens_as_asked_for(tmp_path, tokens):
    batches = TokenBatches(stream(tmp_path), seq_len=16, batch_size=4, tokens=tokens, seed=0)
    assert sum(count(piece) for batch in batches for piece in batch) == tokens
    assert batches.position(len(batches)).tokens == tokens


def test_a_pass_sees_every_window_once_and_passes_differ(tmp_path):
    data = stream(tmp_path)
    windows = (len(data) - 1) // 16
    batches = TokenBatches(data, seq_len=16, batch_size=1, tokens=2 * windows * 16, seed=3)
    rows = [tuple(batches[step][0]["input_ids"][0].tolist()) for step in range(len(batches))]
    assert len(set(rows[:windows])) == windows
    assert sorted(rows[:windows]) == sorted(rows[windows:])
    assert rows[:windows] != rows[windows:]
    assert batches.epochs == 2


def test_targets_are_the_next_tokens_and_batches_depend_on_the_step_alone(tmp_path):
    data = stream(tmp_path)
    batches = TokenBatches(data, seq_len=16, batch_size=4, tokens=1000, seed=0)
    again = TokenBatches(stream(tmp_path / "again"), seq_len=16, batch_size=4, tokens=1000, seed=0)
    for step in reversed(range(len(batches))):
        for a, b in zip(batches[step], again[step], strict=True):
            assert torch.equal(a["input_ids"], b["input_ids"])
            assert torch.equal(a["input_ids"][:, 1:], a["targets"][:, :-1])


def test_another_seed_gives_another_order(tmp_path):
    data = stream(tmp_path)
    a, b = (TokenBatches(data, seq_len=16, batch_size=8, tokens=128, seed=seed)[0][0]["input_ids"] for seed in (0, 1))
    assert not torch.equal(a, b)


def test_fewer_tokens_than_a_sequence_are_refused(tmp_path):
    with pytest.raises(InputError, match="fewer than one sequence of 64"):
        TokenBatches(stream(tmp_path, documents=1), seq_len=64, batch_size=1, tokens=10, seed=0)


def test_a_stream_reads_across_spans_sets_and_shards(tmp_path):
    a, b = token_set(tmp_path / "a", seed=1), token_set(tmp_path / "b", seed=2)
    spans = [(a, np.array([[0, 7], [490, 1020]])), (b, np.array([[3, 4], [100, 900]]))]
    truth = np.concatenate([s.read(x, y) for s, rows in spans for x, y in rows])
    for held in (True, False):
        data = Stream(spans)
        if not held:
            data.read = data._gather
        assert len(data) == len(truth)
        for start, stop in ((0, len(truth)), (5, 9), (536, 540), (0, 1), (len(truth) - 1, len(truth)), (4, 4)):
            assert np.array_equal(data.read(start, stop), truth[start:stop])


@pytest.mark.parametrize(("documents", "fraction"), [(2, 0.02), (40, 0.02), (40, 0.5), (40, 0.999)])
def test_documents_are_trained_on_or_held_out_never_both(tmp_path, documents, fraction):
    sets = [token_set(tmp_path / "a", documents=documents - 1), token_set(tmp_path / "b", documents=1, seed=5)]
    train, held = split(sets, fraction=fraction, seed=0)
    texts = {tuple(part) for part in np.split(whole(sets).read(0, 53 * documents), documents)}
    sides = [{tuple(part) for part in np.split(s.read(0, len(s)), len(s) // 53)} for s in (train, held)]
    assert sides[0] | sides[1] == texts
    assert not sides[0] & sides[1]
    assert sides[0]
    assert sides[1]


def test_the_held_out_part_is_about_as_large_as_asked_and_depends_on_the_seed(tmp_path):
    tokens = token_set(tmp_path, documents=2000, length=3)
    sizes = [len(split([tokens], fraction=0.1, seed=seed)[1]) / len(tokens) for seed in range(5)]
    assert all(0.07 < size < 0.13 for size in sizes)
    a, b = (split([tokens], fraction=0.1, seed=seed)[1] for seed in (0, 1))
    assert len(a) != len(b) or not np.array_equal(a.read(0, len(a)), b.read(0, len(b)))


def test_a_single_document_is_cut(tmp_path):
    tokens = token_set(tmp_path, documents=1, length=200)
    train, held = split([tokens], fraction=0.1, seed=0)
    assert (len(train), len(held)) == (180, 20)


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_validation_windows_hold_every_target_once(tmp_path, rows):
    data = stream(tmp_path, documents=7)
    windows = Windows(data, seq_len=16, rows=rows)
    targets = torch.cat([piece["targets"].flatten() for batch in windows for piece in batch])
    assert torch.equal(targets, torch.from_numpy(data.read(1, len(data))))
